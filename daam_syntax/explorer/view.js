// What is chosen, and how the page shows it.

const told = JSON.parse(document.getElementById("contents").textContent);
const COLOURS = told.colours.map(rgb);
const RULES = Object.keys(CUTS);
const CONTENT = new Set(["NOUN", "PROPN", "VERB", "ADJ", "ADV", "NUM"]); // parts of speech of content words
const STEPS = { absolute: 0.001 }; // attention probabilities are small

/** What the reader chose. A word alone is a head without dependent. */
const chosen = {
  picture: 0,
  scheme: told.scheme,
  rule: told.rule,
  value: told.value,
  head: null,
  dependent: null,
  ownScale: false,
};

/** What was made of the picture that is shown: by word maps, their ranges, masks, their areas; and its pixels. */
let made = { picture: null };

const byId = (id) => document.getElementById(id);
const picture = () => told.pictures[chosen.picture];
const sentence = () => told.sentences[picture().sentence];
const edges = () => sentence().schemes[chosen.scheme].edges;
const isMapped = (word) => picture().mapped.includes(word);

function element(name, { text, ...properties } = {}, ...children) {
  const result = Object.assign(document.createElement(name), properties);
  if (text !== undefined) result.textContent = text;
  result.append(...children);
  return result;
}

// -- numbers of the picture that is shown ---------------------------------------------------------------------------

function current() {
  if (made.picture !== picture()) { // maps of large pictures take much memory: one picture's are kept
    const { maps, grid, mapped } = picture();
    const values = decodeFloats(maps);
    const n = grid[0] * grid[1];
    const recorded = new Map(mapped.map((word, row) => [word, values.subarray(row * n, (row + 1) * n)]));
    made = { picture: picture(), recorded, upscaled: new Map(), ranges: new Map(), masksOf: "" };
  }
  return made;
}

/** Return what a cache has of a word; made when it is first asked for. */
function cached(cache, word, make) {
  if (!cache.has(word)) cache.set(word, make());
  return cache.get(word);
}

function upscaled(word) {
  const { recorded, upscaled: known } = current();
  return cached(known, word, () => upscale(recorded.get(word), picture().grid, picture().size));
}

function rangeOf(word) {
  return cached(current().ranges, word, () => range(upscaled(word)));
}

function mask(word) {
  const now = current();
  const rule = thresholdText();
  if (now.masksOf !== rule) Object.assign(now, { masks: new Map(), areas: new Map(), masksOf: rule });
  return cached(now.masks, word, () => makeMask(upscaled(word), chosen.rule, chosen.value, rangeOf(word)));
}

function areaOf(word) {
  const itsMask = mask(word); // which forgets the areas of another threshold
  return cached(current().areas, word, () => area(itsMask));
}

function pairOverlap(head, dependent) {
  for (const word of [head, dependent]) {
    if (!isMapped(word)) return { reason: `${sentence().words[word].text} is ${picture().reasons[word]}` };
  }
  const found = overlap(mask(head), mask(dependent), areaOf(head), areaOf(dependent));
  if (!Number.isNaN(found.iou)) return found;
  const empty = [head, dependent].filter((word) => areaOf(word) === 0);
  return { reason: `empty mask: ${empty.map((word) => sentence().words[word].text).join(", ")}` };
}

/** The mean overlap of all pairs of words that no edge joins. */
function unrelatedOverlap() {
  const joined = new Set(edges().flatMap(({ head, dependent }) => [`${head} ${dependent}`, `${dependent} ${head}`]));
  const words = picture().mapped.filter((word) => sentence().words[word].pos !== "PUNCT");
  const sums = { iou: 0, iod: 0, ioh: 0, lift: 0 };
  let n = 0;
  words.forEach((first, place) => {
    for (const second of words.slice(place + 1)) {
      if (joined.has(`${first} ${second}`)) continue;
      const found = pairOverlap(first, second);
      if (found.reason) continue;
      for (const name of Object.keys(sums)) sums[name] += found[name];
      n += 1;
    }
  });
  return { n, ...Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / n])) };
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
    button.title = isMapped(index) ? `${word.lemma}, ${word.pos}` : picture().reasons[index];
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

function caption(text, colour) {
  const line = element("figcaption");
  if (colour) {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = colour;
    line.append(swatch);
  }
  line.append(text);
  return line;
}

function panel(line, image, outlines) {
  const canvas = element("canvas");
  canvas.classList.toggle("small", Math.max(...picture().size) < 256);
  show(canvas, image, outlines);
  canvas.addEventListener("mousemove", (event) => {
    const box = canvas.getBoundingClientRect();
    const [height, width] = picture().size;
    const x = Math.floor(((event.clientX - box.left) / box.width) * width);
    const y = Math.floor(((event.clientY - box.top) / box.height) * height);
    showPoint(Math.min(Math.max(x, 0), width - 1), Math.min(Math.max(y, 0), height - 1));
  });
  canvas.addEventListener("mouseleave", hidePoint);
  return element("figure", {}, line, canvas);
}

async function showPanels() {
  const now = current();
  now.pixels ??= await loadPixels(picture().source, picture().size);
  if (now !== current()) return; // another picture was chosen meanwhile
  const { pixels } = now;
  const name = (word) => sentence().words[word].text;
  const panels = [panel(caption(picture().label), pixels.colours)];
  const words = [chosen.head, chosen.dependent].filter((word) => word !== null && isMapped(word));
  const largest = Math.max(...picture().mapped.map((word) => rangeOf(word).high), 0);
  const paired = chosen.dependent !== null;
  words.forEach((word) => {
    const colour = paired ? (word === chosen.head ? told.head : told.dependent) : "#222222";
    const role = paired ? (word === chosen.head ? "head: " : "dependent: ") : "";
    const image = mapImage(pixels, upscaled(word), chosen.ownScale ? rangeOf(word).high : largest, COLOURS);
    panels.push(panel(caption(`${role}${name(word)}`, paired && colour), image, [[mask(word), colour]]));
  });
  if (words.length === 2) {
    const [head, dependent] = words.map(mask);
    const image = masksImage(pixels, head, dependent, rgb(told.head), rgb(told.dependent));
    const found = pairOverlap(...words);
    const line = caption(found.reason ?? `shared: IoU ${found.iou.toFixed(3)}`, SHARED);
    panels.push(panel(line, image));
  }
  byId("panels").replaceChildren(...panels);
  byId("scale").hidden = !words.length;
  byId("top").textContent = chosen.ownScale
    ? "each map's own maximum"
    : `${largest.toPrecision(2)} mean attention probability; lines: ${thresholdText()}`;
}

function showPairs() {
  const cells = (found) => found.reason
    ? [element("td", { className: "reason", colSpan: 4, text: found.reason })]
    : ["iou", "iod", "ioh", "lift"].map((name) => element("td", { text: found[name].toFixed(3) }));
  const rows = edges().map((edge) => {
    const said = [edge.relation, sentence().words[edge.head].text, sentence().words[edge.dependent].text];
    const found = pairOverlap(edge.head, edge.dependent);
    const row = element("tr", { className: "edge" }, ...said.map((text) => element("td", { text })), ...cells(found));
    clickable(row, said.join(" "), () => choose(edge));
    row.removeAttribute("role"); // it stays a row of the table
    return row;
  });
  const control = unrelatedOverlap();
  if (control.n) {
    const said = element("td", { colSpan: 3, text: `unrelated (mean of ${control.n} pairs)` });
    rows.push(element("tr", { className: "control" }, said, ...cells(control)));
  }
  byId("pairs").tBodies[0].replaceChildren(...rows);
}

/** Say how much attention a point pays to each word, and tint the words with it. */
function showPoint(x, y) {
  const place = y * picture().size[1] + x;
  const found = picture().mapped.map((word) => [word, upscaled(word)[place]]).sort((a, b) => b[1] - a[1]);
  const most = found.length ? found[0][1] : 0;
  for (const [word, value] of found) {
    byId("words").children[word].style.background = `rgb(213 94 0 / ${(0.75 * value) / (most || 1)})`;
  }
  const said = found.slice(0, 5).map(([word, value]) => `${sentence().words[word].text} ${value.toPrecision(2)}`);
  byId("said").textContent = `Attention from the point (${x}, ${y}): ${said.join(", ")}`;
}

function hidePoint() {
  for (const button of byId("words").children) button.style.background = "";
  say();
}

function say() {
  const lone = chosen.dependent === null && chosen.head !== null;
  byId("said").textContent = lone && !isMapped(chosen.head)
    ? `“${sentence().words[chosen.head].text}” has no map: ${picture().reasons[chosen.head]}`
    : "Click a word, an arc or a row; move over a picture to see which words a point attends to.";
}

function showControls() {
  byId("picture").value = chosen.picture;
  byId("scheme").replaceChildren(
    ...Object.keys(sentence().schemes).map((name) => element("option", { value: name, text: name })),
  );
  byId("scheme").value = chosen.scheme;
  byId("rule").value = chosen.rule;
  byId("value").step = STEPS[chosen.rule] ?? 0.01;
  byId("value").max = chosen.rule === "absolute" ? 0.3 : 0.99;
  byId("value").value = chosen.value;
  byId("value-said").textContent = chosen.value;
  byId("choose-value").hidden = chosen.rule === "otsu";
  byId("choose-picture").hidden = told.pictures.length === 1;
  byId("choose-scheme").hidden = Object.keys(sentence().schemes).length === 1;
  byId("own-scale").checked = chosen.ownScale;
}

async function showAll() {
  document.title = sentence().text;
  showControls();
  showTree();
  showPairs();
  showChoice();
  say();
  await showPanels();
}

// -- choosing -------------------------------------------------------------------------------------------------------

/** Take over a choice, show it, and keep it in the address where there is one. */
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
  const telling = ({ head, dependent }) => [head, dependent].every((word) => CONTENT.has(sentence().words[word].pos));
  const edge = measured.find(telling) ?? measured[0];
  Object.assign(chosen, { head: edge?.head ?? null, dependent: edge?.dependent ?? null });
}

function keepAddress() {
  const address = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value !== null));
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // A frame in a notebook has no address of its own.
  }
}

function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name, limit) => {
    const value = address.has(name) ? Number(address.get(name)) : NaN;
    return Number.isInteger(value) && value >= 0 && value < limit ? value : null;
  };
  chosen.picture = number("picture", told.pictures.length) ?? 0;
  if (address.get("scheme") in sentence().schemes) chosen.scheme = address.get("scheme");
  if (RULES.includes(address.get("rule"))) chosen.rule = address.get("rule");
  const value = Number(address.get("value") ?? NaN);
  if (value >= 0 && value < 1) chosen.value = value;
  chosen.ownScale = address.get("ownScale") === "true";
  chooseFirstEdge();
  const words = sentence().words.length;
  if (number("head", words) !== null) {
    Object.assign(chosen, { head: number("head", words), dependent: number("dependent", words) });
  }
}

function start() {
  const colours = byId("colours").getContext("2d");
  COLOURS.forEach((colour, x) => {
    colours.fillStyle = `rgb(${colour})`;
    colours.fillRect(x, 0, 1, 1);
  });
  const several = told.sentences.length > 1;
  byId("picture").append(...told.pictures.map(({ label, sentence: place }, index) => element(
    "option", { value: index, text: several ? `${label}: ${told.sentences[place].text}` : label },
  )));
  byId("rule").append(...RULES.map((rule) => element("option", { value: rule, text: rule })));
  byId("picture").addEventListener("change", (event) => choose({ picture: Number(event.target.value) }));
  byId("scheme").addEventListener("change", (event) => choose({ scheme: event.target.value }));
  byId("rule").addEventListener("change", ({ target }) => {
    choose({ rule: target.value, value: target.value === "absolute" ? 0.02 : 0.4 });
  });
  byId("value").addEventListener("input", (event) => choose({ value: Number(event.target.value) }));
  byId("own-scale").addEventListener("change", (event) => choose({ ownScale: event.target.checked }));
  addEventListener("resize", () => { showTree(); showChoice(); });
  readAddress();
  showAll();
}

start();
