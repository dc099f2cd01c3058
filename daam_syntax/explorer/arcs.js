// The dependency tree: words as buttons, with an arc above them for every edge.

const ARC_STEP = 24; // pixels between levels
const ARC_TOP = 30;

function svgElement(name, attributes = {}) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Return the path of a bracket with round corners that ends in an arrowhead. */
function arcPath(from, to, top, bottom) {
  const towards = Math.sign(to - from);
  const corner = Math.min(9, Math.abs(to - from) / 2) * towards;
  const down = Math.abs(corner);
  return `M ${from} ${bottom} V ${top + down} Q ${from} ${top} ${from + corner} ${top} H ${to - corner} ` +
    `Q ${to} ${top} ${to} ${top + down} V ${bottom} m -3.5 -6 l 3.5 6 l 3.5 -6`;
}

/** Make an element behave like a button. */
function clickable(element, label, act) {
  element.setAttribute("tabindex", "0");
  element.setAttribute("role", "button");
  element.setAttribute("aria-label", label);
  element.addEventListener("click", act);
  element.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    act();
  });
}

/** Draw the arcs of a scheme above the word buttons, and return one group per edge, in the order of the edges. */
function drawArcs(svg, words, sentence, scheme, choose) {
  const { edges, roots } = sentence.schemes[scheme];
  const levels = Math.max(1, ...edges.map((edge) => edge.level));
  const bottom = ARC_TOP + levels * ARC_STEP;
  const middles = [...words.children].map((word) => word.offsetLeft - words.offsetLeft + word.offsetWidth / 2);
  svg.replaceChildren();
  svg.setAttribute("width", words.scrollWidth);
  svg.setAttribute("height", bottom);
  for (const root of roots) {
    const mark = svgElement("g", { class: "root" });
    mark.append(svgElement("path", { d: `M ${middles[root]} 16 V ${bottom} m -3.5 -6 l 3.5 6 l 3.5 -6` }));
    const text = svgElement("text", { x: middles[root], y: 12 });
    text.textContent = "root";
    mark.append(text);
    svg.append(mark);
  }
  return edges.map((edge) => {
    // The ends of arcs that share a word must not touch.
    const towards = Math.sign(edge.dependent - edge.head);
    const from = middles[edge.head] + 7 * towards;
    const to = middles[edge.dependent] - 3 * towards;
    const top = bottom - edge.level * ARC_STEP;
    const group = svgElement("g");
    const d = arcPath(from, to, top, bottom);
    group.append(svgElement("path", { d, class: "wide" }), svgElement("path", { d, class: "thin" }));
    const text = svgElement("text", { x: (from + to) / 2, y: top + 4 });
    text.textContent = edge.relation;
    group.append(text);
    const [head, dependent] = [edge.head, edge.dependent].map((index) => sentence.words[index].text);
    clickable(group, `${edge.relation}: head ${head}, dependent ${dependent}`, () => choose(edge));
    svg.append(group);
    return group;
  });
}
