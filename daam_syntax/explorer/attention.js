// Attention between words: a matrix, from the word of the row to the word of the column.

const LABEL = 84; // pixels of the row labels
const [SMALLEST, LARGEST] = [11, 30]; // pixels of a cell

/** Return for each row and column that an edge joins: the edge, and whether the row is the dependent. */
function edgeCells() {
  return new Map(edges().flatMap((edge) => [
    [`${edge.dependent} ${edge.head}`, { edge, upwards: true }],
    [`${edge.head} ${edge.dependent}`, { edge, upwards: false }],
  ]));
}

/** Show the attention of one word to another in words, and how it is related to the tree. */
function describeCell(attention, row, column, value, cell) {
  const name = (place) => (place < attention.words ? `“${attention.labels[place]}”` : `${attention.labels[place]} tokens`);
  if (Number.isNaN(value)) {
    const lacking = [row, column].find((place) => attention.reasons[place]);
    return `“${attention.labels[lacking]}” is ${attention.reasons[lacking]}`;
  }
  const along = !cell ? "" : cell.upwards
    ? `: the dependent attends to its head (${cell.edge.relation})`
    : `: the head attends to its dependent (${cell.edge.relation})`;
  return `From ${name(row)} to ${name(column)}: ${value.toFixed(3)}${along}`;
}

function showAttention() {
  const all = currentImage().attention;
  byId("between").hidden = !all.length;
  if (!all.length) return;
  const place = Math.min(chosen.relation, all.length - 1);
  byId("relation").replaceChildren(...all.map(({ name }, index) => element("option", { value: index, text: name })));
  byId("relation").value = place;
  const attention = all[place];
  const n = attention.labels.length;
  const values = decodeFloats(attention.values);
  const largest = largestBetweenWords(values, n, attention.words);
  const cells = edgeCells();
  const room = byId("between").clientWidth - LABEL - 2;
  const size = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(room / n)));
  // Pixels are keys here, but not queries: the maps show what they attend to.
  const isQuery = (row) => row < attention.words || !Number.isNaN(values[row * n + row]);
  const tell = (text) => { byId("between-status").textContent = text; };
  const heading = (text, index) => element("th", { text, title: text, className: index === attention.words ? "first" : "" });
  const table = byId("matrix");
  table.style.width = `${LABEL + n * size}px`;
  table.style.setProperty("--cell", `${size}px`);
  table.tHead.replaceChildren(element("tr", {}, element("td", { text: "from \\ to" }), ...attention.labels.map(
    (text, index) => {
      const head = heading("", index);
      head.title = text;
      head.append(element("span", { text }));
      return head;
    },
  )));
  table.tBodies[0].replaceChildren(...[...attention.labels.entries()].filter(([row]) => isQuery(row)).map(([row, text]) => element(
    "tr", { className: row === attention.words ? "first" : "" }, heading(text), ...attention.labels.map((_, column) => {
      const value = values[row * n + column];
      const cell = cells.get(`${row} ${column}`);
      const shown = element("td", { className: column === attention.words ? "first" : "" });
      const told = describeCell(attention, row, column, value, cell);
      shown.title = told;
      if (Number.isNaN(value)) shown.classList.add("lacking");
      else {
        const shade = Math.min(1, value / (largest || 1));
        shown.style.backgroundColor = contents.attentionColors[Math.round(shade * (contents.attentionColors.length - 1))];
      }
      shown.addEventListener("mouseenter", () => tell(told));
      if (cell) {
        const mark = element("i", { className: cell.upwards ? "upwards" : "downwards" });
        const { edge } = cell;
        mark.classList.toggle("chosen", edge.head === chosen.head && edge.dependent === chosen.dependent);
        shown.append(mark);
        shown.addEventListener("click", () => choose(edge));
      }
      shown.addEventListener("click", () => tell(told));
      return shown;
    }),
  )));
  byId("between-top").textContent = `${largest.toFixed(2)}, the largest between different words; more is as dark`;
  byId("between-colors").style.background = `linear-gradient(to right, ${contents.attentionColors.join(", ")})`;
  byId("between-order").textContent = attention.causal
    ? "This encoder is causal: a word attends to itself and to earlier ones only, so each edge is seen from its later word."
    : "";
  tell(meanAlongEdges(values, n, cells, attention.causal));
}

/** Return the largest attention between different words; the diagonal and special tokens often have far more. */
function largestBetweenWords(values, n, words) {
  let largest = 0;
  for (let row = 0; row < words; row++) {
    for (let column = 0; column < words; column++) {
      if (row !== column && values[row * n + column] > largest) largest = values[row * n + column];
    }
  }
  return largest;
}

/** Say the mean attention along the edges of the tree, in both directions; causal encoders see earlier words only. */
function meanAlongEdges(values, n, cells, causal) {
  const mean = (upwards) => {
    const found = [...cells].filter(([, cell]) => cell.upwards === upwards)
      .map(([key]) => key.split(" ").map(Number))
      .filter(([row, column]) => !causal || column < row)
      .map(([row, column]) => values[row * n + column])
      .filter((value) => !Number.isNaN(value));
    return found.length ? (found.reduce((sum, value) => sum + value, 0) / found.length).toFixed(3) : "–";
  };
  const which = causal ? "edges of the tree to an earlier word" : "edges of the tree";
  return `Mean over the ${which}: ${mean(true)} from dependent to head, ${mean(false)} from head to dependent.`;
}
