// The state of the page, and how it is shown.

const contents = JSON.parse(document.getElementById("contents").textContent);
const COLORS = contents.colors.map(rgb);
const RULES = Object.keys(THRESHOLDS);
const CONTENT = new Set(["NOUN", "PROPN", "VERB", "ADJ", "ADV", "NUM"]); // parts of speech of content words
const STEPS = { absolute: 0.001 }; // attention probabilities are small

/** What the reader chose. A single word is a head without a dependent. */
const chosen = {
  image: 0,
  scheme: contents.scheme,
  rule: contents.rule,
  value: contents.value,
  head: null,
  dependent: null,
  ownScale: true, // on one scale for all words, a faint word looks empty
  relation: 0, // of attention between words, by place
};

/** Results for the current image: for each word its map, range, mask and area; and the pixels of the image. */
let results = { image: null };

const byId = (id) => document.getElementById(id);
const currentImage = () => contents.images[chosen.image];
const sentence = () => contents.sentences[currentImage().sentence];
const edges = () => sentence().schemes[chosen.scheme].edges;
const isMapped = (word) => currentImage().mapped.includes(word);

function element(name, { text, ...properties } = {}, ...children) {
  const result = Object.assign(document.createElement(name), properties);
  if (text !== undefined) result.textContent = text;
  result.append(...children);
  return result;
}

// -- numbers of the current image ------------------------------------------------------------------------------------

function current() {
  if (results.image !== currentImage()) { // maps of large images need much memory, so those of one image are kept
    const { maps, grid, mapped } = currentImage();
    const values = decodeFloats(maps);
    const n = grid[0] * grid[1];
    const recorded = new Map(mapped.map((word, row) => [word, values.subarray(row * n, (row + 1) * n)]));
    results = { image: currentImage(), recorded, upscaled: new Map(), ranges: new Map(), masksRule: "" };
  }
  return results;
}

/** Return the cached value of a word, computed on first use. */
function cached(cache, word, make) {
  if (!cache.has(word)) cache.set(word, make());
  return cache.get(word);
}

function upscaled(word) {
  const { recorded, upscaled: known } = current();
  return cached(known, word, () => upscale(recorded.get(word), currentImage().grid, currentImage().size));
}

function rangeOf(word) {
  return cached(current().ranges, word, () => range(upscaled(word)));
}

function mask(word) {
  const now = current();
  const rule = thresholdText();
  if (now.masksRule !== rule) Object.assign(now, { masks: new Map(), areas: new Map(), masksRule: rule });
  return cached(now.masks, word, () => makeMask(upscaled(word), chosen.rule, chosen.value, rangeOf(word)));
}

function areaOf(word) {
  const wordMask = mask(word); // clears the areas of another threshold
  return cached(current().areas, word, () => area(wordMask));
}

function pairOverlap(head, dependent) {
  for (const word of [head, dependent]) {
    if (!isMapped(word)) return { reason: `${sentence().words[word].text} is ${currentImage().reasons[word]}` };
  }
  const found = overlap(mask(head), mask(dependent), areaOf(head), areaOf(dependent));
  if (!Number.isNaN(found.iou)) return found;
  const empty = [head, dependent].filter((word) => areaOf(word) === 0);
  return { reason: `empty mask: ${empty.map((word) => sentence().words[word].text).join(", ")}` };
}

const MEASURES = ["iou", "iod", "ioh", "phi", "lift"];

/** Return the mean overlap of all pairs of words that no edge joins; phi, of those that have one. */
function unrelatedOverlap() {
  const joined = new Set(edges().flatMap(({ head, dependent }) => [`${head} ${dependent}`, `${dependent} ${head}`]));
  const words = currentImage().mapped.filter((word) => sentence().words[word].pos !== "PUNCT");
  const all = [];
  words.forEach((first, place) => {
    for (const second of words.slice(place + 1)) {
      if (joined.has(`${first} ${second}`)) continue;
      const found = pairOverlap(first, second);
      if (!found.reason) all.push(found);
    }
  });
  const means = MEASURES.map((name) => {
    const values = all.map((found) => found[name]).filter((value) => !Number.isNaN(value));
    return [name, values.reduce((sum, value) => sum + value, 0) / values.length];
  });
  return { n: all.length, ...Object.fromEntries(means) };
}

function thresholdText() {
  return chosen.rule === "otsu" ? "otsu" : `${chosen.rule}:${chosen.value}`;
}

// -- what is shown --------------------------------------------------------------------------------------------------

let arcs = [];

function showTree() {
  const words = byId("words");
  words.replaceChildren(...sentence().words.map((word, index) => {
    const isSpace = !word.text.trim();
    const button = element("button", { type: "button", text: isSpace ? "␣" : word.text });
    button.append(element("small", { text: word.pos }));
    button.title = isMapped(index) ? `${word.lemma}, ${word.pos}` : currentImage().reasons[index];
    button.classList.toggle("unmapped", !isMapped(index));
    button.addEventListener("click", () => choose({ head: index, dependent: null }));
    return button;
  }));
  arcs = drawArcs(byId("arcs"), words, sentence(), chosen.scheme, choose);
}

function showChoice() {
  [...byId("words").children].forEach((button, index) => {
    const alone = chosen.dependent === null;
    button.classList.toggle("word", alone && index === chosen.head);
    button.classList.toggle("head", !alone && index === chosen.head);
    button.classList.toggle("dependent", !alone && index === chosen.dependent);
  });
  edges().forEach((edge, place) => {
    const is = edge.head === chosen.head && edge.dependent === chosen.dependent;
    arcs[place].classList.toggle("chosen", is);
    byId("pairs").tBodies[0].rows[place]?.classList.toggle("chosen", is);
  });
}

function caption(text, color) {
  const line = element("figcaption");
  if (color) {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = color;
    line.append(swatch);
  }
  line.append(text);
  return line;
}

function panel(line, image, outlines) {
  const canvas = element("canvas");
  canvas.classList.toggle("small", Math.max(...currentImage().size) < 256);
  show(canvas, image, outlines);
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [height, width] = currentImage().size;
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    showPoint(Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1));
  });
  canvas.addEventListener("mouseleave", hidePoint);
  return element("figure", {}, line, canvas);
}

async function showPanels() {
  const now = current();
  now.pixels ??= await loadPixels(currentImage().source, currentImage().size);
  if (now !== current()) return; // another image was chosen in the meantime
  const { pixels } = now;
  const name = (word) => sentence().words[word].text;
  const panels = [panel(caption(currentImage().label), pixels.colors)];
  const words = [chosen.head, chosen.dependent].filter((word) => word !== null && isMapped(word));
  const largest = Math.max(...currentImage().mapped.map((word) => rangeOf(word).high), 0);
  const paired = chosen.dependent !== null;
  words.forEach((word) => {
    const color = paired ? (word === chosen.head ? contents.headColor : contents.dependentColor) : "#222222";
    const role = paired ? (word === chosen.head ? "head: " : "dependent: ") : "";
    const image = mapImage(pixels, upscaled(word), chosen.ownScale ? rangeOf(word).high : largest, COLORS);
    panels.push(panel(caption(`${role}${name(word)}`, paired && color), image, [[mask(word), color]]));
  });
  if (words.length === 2) {
    const [head, dependent] = words.map(mask);
    const image = masksImage(pixels, head, dependent, rgb(contents.headColor), rgb(contents.dependentColor));
    const found = pairOverlap(...words);
    const line = caption(found.reason ?? `shared: IoU ${found.iou.toFixed(3)}`, SHARED);
    panels.push(panel(line, image));
  }
  byId("panels").replaceChildren(...panels);
  byId("scale").hidden = !words.length;
  const maxima = words.map((word) => `${name(word)} ${rangeOf(word).high.toPrecision(2)}`).join(", ");
  byId("top").textContent = chosen.ownScale ? maxima : largest.toPrecision(2);
  byId("scale-note").textContent = `mean attention probability; lines: edges of the masks (${thresholdText()})`;
}

function showPairs() {
  const cells = (found) => found.reason
    ? [element("td", { className: "reason", colSpan: MEASURES.length, text: found.reason })]
    : MEASURES.map((name) => element("td", { text: Number.isNaN(found[name]) ? "–" : found[name].toFixed(3) }));
  const rows = edges().map((edge) => {
    const names = [edge.relation, sentence().words[edge.head].text, sentence().words[edge.dependent].text];
    const found = pairOverlap(edge.head, edge.dependent);
    const row = element("tr", { className: "edge" }, ...names.map((text) => element("td", { text })), ...cells(found));
    clickable(row, names.join(" "), () => choose(edge));
    row.removeAttribute("role"); // it remains a row of the table
    return row;
  });
  const control = unrelatedOverlap();
  if (control.n) {
    const name = element("td", { colSpan: 3, text: `unrelated (mean of ${control.n} pairs)` });
    rows.push(element("tr", { className: "control" }, name, ...cells(control)));
  }
  byId("pairs").tBodies[0].replaceChildren(...rows);
}

/** Show how much attention a point pays to each word, as text and as the tint of the words. */
function showPoint(x, y) {
  const place = y * currentImage().size[1] + x;
  const found = currentImage().mapped.map((word) => [word, upscaled(word)[place]]).sort((a, b) => b[1] - a[1]);
  const most = found.length ? found[0][1] : 0;
  for (const [word, value] of found) {
    byId("words").children[word].style.background = `rgb(213 94 0 / ${(0.75 * value) / (most || 1)})`;
  }
  const values = found.slice(0, 5).map(([word, value]) => `${sentence().words[word].text} ${value.toPrecision(2)}`);
  byId("status").textContent = `Attention from the point (${x}, ${y}): ${values.join(", ")}`;
}

function hidePoint() {
  for (const button of byId("words").children) button.style.background = "";
  showHint();
}

function showHint() {
  const lone = chosen.dependent === null && chosen.head !== null;
  byId("status").textContent = lone && !isMapped(chosen.head)
    ? `“${sentence().words[chosen.head].text}” has no map: ${currentImage().reasons[chosen.head]}`
    : "Click a word, an arc or a row; point at an image to see which words that point attends to.";
}

function showControls() {
  byId("image").value = chosen.image;
  byId("scheme").replaceChildren(
    ...Object.keys(sentence().schemes).map((name) => element("option", { value: name, text: name })),
  );
  byId("scheme").value = chosen.scheme;
  byId("rule").value = chosen.rule;
  byId("value").step = STEPS[chosen.rule] ?? 0.01;
  byId("value").max = chosen.rule === "absolute" ? 0.3 : 0.99;
  byId("value").value = chosen.value;
  byId("value-text").textContent = chosen.value;
  byId("choose-value").hidden = chosen.rule === "otsu";
  byId("choose-image").hidden = contents.images.length === 1;
  byId("choose-scheme").hidden = Object.keys(sentence().schemes).length === 1;
  byId("own-scale").checked = chosen.ownScale;
}

async function showAll() {
  document.title = sentence().text;
  byId("prompt").textContent = sentence().text;
  const parser = sentence().parser ? `; parsed by ${sentence().parser}` : "";
  byId("source").textContent = `${currentImage().label}, ${currentImage().model}${parser}`;
  showControls();
  showTree();
  showPairs();
  showChoice();
  showAttention();
  showHint();
  await showPanels();
}

// -- choosing -------------------------------------------------------------------------------------------------------

/** Apply a choice, show it, and keep it in the address of the page if it has one. */
async function choose({ head = chosen.head, dependent = chosen.dependent, ...others }) {
  const text = sentence().text;
  Object.assign(chosen, { head, dependent }, pick(others));
  if (!(chosen.scheme in sentence().schemes)) chosen.scheme = Object.keys(sentence().schemes)[0];
  if (sentence().text !== text) chooseFirstEdge();
  keepAddress();
  await showAll();
}

function pick(values) {
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in chosen));
}

function chooseFirstEdge() {
  const measured = edges().filter((edge) => !pairOverlap(edge.head, edge.dependent).reason);
  const isContent = ({ head, dependent }) => [head, dependent].every((word) => CONTENT.has(sentence().words[word].pos));
  const edge = measured.find(isContent) ?? measured[0];
  Object.assign(chosen, { head: edge?.head ?? null, dependent: edge?.dependent ?? null });
}

function start() {
  const colors = byId("colors").getContext("2d");
  COLORS.forEach((color, x) => { // as they look over light gray
    const alpha = opacity(x / (COLORS.length - 1));
    colors.fillStyle = `rgb(${color.map((value) => Math.round(value * alpha + PAPER * (1 - alpha)))})`;
    colors.fillRect(x, 0, 1, 1);
  });
  const several = contents.sentences.length > 1;
  byId("image").append(...contents.images.map(({ label, sentence: place }, index) => element(
    "option", { value: index, text: several ? `${label}: ${contents.sentences[place].text}` : label },
  )));
  byId("rule").append(...RULES.map((rule) => element("option", { value: rule, text: rule })));
  byId("image").addEventListener("change", (event) => choose({ image: Number(event.target.value) }));
  byId("scheme").addEventListener("change", (event) => choose({ scheme: event.target.value }));
  byId("rule").addEventListener("change", ({ target }) => {
    choose({ rule: target.value, value: target.value === "absolute" ? 0.02 : 0.4 });
  });
  byId("value").addEventListener("input", (event) => choose({ value: Number(event.target.value) }));
  byId("own-scale").addEventListener("change", (event) => choose({ ownScale: event.target.checked }));
  byId("relation").addEventListener("change", (event) => choose({ relation: Number(event.target.value) }));
  addEventListener("resize", () => { showTree(); showChoice(); showAttention(); });
  readAddress();
  showAll();
}

start();
