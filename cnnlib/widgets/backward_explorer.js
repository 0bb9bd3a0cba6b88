/**
 * Backward explorer: back-propagation through one two-dimensional correlation layer, y = corr(x, w), cell by cell.
 *
 * One file, no imports, no network. `mount(el, props)` draws it; the default export is for anywidget (Jupyter,
 * VS Code, Colab), the custom element <cnn-backward-explorer props='{…}'> for a page without a kernel.
 * Indices count from 0. A cell is referred to as { panel, i, j }; the panels are x, w, y and, for the gradients of the
 * loss L, gx (∂L/∂x), gw (∂L/∂w), gy (∂L/∂y, the upstream gradient) and gb (∂L/∂b).
 */

// ---------------------------------------------------------------------------------------------- arithmetic

/** Output size along one axis; zero or less where the kernel does not fit into the padded input. */
export function outputSize(size, kernelSize, { stride = 1, padding = 0, dilation = 1 } = {}) {
  return Math.floor((size + 2 * padding - dilation * (kernelSize - 1) - 1) / stride) + 1;
}

/**
 * Every product that the layer forms: output [i, j] reads input [m, n] through weight [u, v].
 * `inside` is false where [m, n] is a zero of the padding. Forward and backward are both sums over this one list.
 */
export function products(x, weight, { stride = 1, padding = 0, dilation = 1 } = {}) {
  const [H, W] = shape(x), [kh, kw] = shape(weight), options = { stride, padding, dilation };
  const list = [];
  for (const [i, j] of cells(outputSize(H, kh, options), outputSize(W, kw, options)))
    for (const [u, v] of cells(kh, kw)) {
      const m = stride * i + dilation * u - padding, n = stride * j + dilation * v - padding;
      list.push({ i, j, u, v, m, n, inside: m >= 0 && m < H && n >= 0 && n < W });
    }
  return list;
}

/** y[i, j] = Σ x[m, n] · w[u, v]: the layer as frameworks compute it, the kernel not turned. */
export function correlate2d(x, weight, options = {}) {
  const [H, W] = shape(x), [kh, kw] = shape(weight);
  const y = matrix(outputSize(H, kh, options), outputSize(W, kw, options), () => 0);
  for (const { i, j, u, v, m, n, inside } of products(x, weight, options))
    if (inside) y[i][j] += x[m][n] * weight[u][v];
  return y;
}

/** Send every upstream gradient back along the products it came from; returns { gradX, gradWeight, gradBias }. */
export function backward2d(gradOutput, x, weight, options = {}) {
  const gradX = matrix(...shape(x), () => 0), gradWeight = matrix(...shape(weight), () => 0);
  for (const { i, j, u, v, m, n, inside } of products(x, weight, options)) {
    if (!inside) continue;
    gradX[m][n] += gradOutput[i][j] * weight[u][v];
    gradWeight[u][v] += gradOutput[i][j] * x[m][n];
  }
  return { gradX, gradWeight, gradBias: sum(gradOutput.flat()) };
}

/**
 * The operands of the same two gradients written as sliding windows, as matrices of { value, ref } (ref null for an
 * inserted zero). ∂L/∂x = corr(upstream, turned): the upstream gradient with stride − 1 zeros between, padded to
 * full size, and the kernel turned by 180°. ∂L/∂w = corr(padded, spread) in steps of the dilation.
 */
export function asConvolution(gradOutput, x, weight, { stride = 1, padding = 0, dilation = 1 } = {}) {
  const [H, W] = shape(x), [kh, kw] = shape(weight), [rows, columns] = shape(gradOutput);
  const reach = [dilation * (kh - 1), dilation * (kw - 1)];
  const upstream = blank(H + reach[0], W + reach[1]);
  const spread = blank(stride * (rows - 1) + 1, stride * (columns - 1) + 1);
  for (const [i, j] of cells(rows, columns)) {
    const cell = { value: gradOutput[i][j], ref: { panel: "gy", i, j } };
    spread[stride * i][stride * j] = cell;
    const row = upstream[stride * i + reach[0] - padding];   // missing where the padding exceeds the kernel's reach:
    const column = stride * j + reach[1] - padding;          // such an output saw nothing but padding
    if (row?.[column]) row[column] = cell;
  }
  const turned = blank(reach[0] + 1, reach[1] + 1);
  for (const [u, v] of cells(kh, kw))
    turned[reach[0] - dilation * u][reach[1] - dilation * v] = { value: weight[u][v], ref: { panel: "w", i: u, j: v } };
  const padded = matrix(H + 2 * padding, W + 2 * padding, (r, c) => {
    const ref = { panel: "x", i: r - padding, j: c - padding };
    return { value: x[ref.i]?.[ref.j] ?? 0, ref };
  });
  return { upstream, turned, padded, spread };
}

/** L = Σ ∂L/∂y · y, the simplest loss that has this upstream gradient. `bias` is added to every output. */
function loss({ x, weight, gradOutput, options }, nudge = [], bias = 0) {
  const y = correlate2d(x, weight, options);
  if (nudge.length) y[nudge[0]][nudge[1]] += nudge[2];
  return sum(y.map((row, i) => sum(row.map((value, j) => gradOutput[i][j] * (value + bias)))));
}

/** L after the cell `ref` (of x, w, y or b) has been changed by `amount`. */
function lossAfter(layer, { panel, i, j }, amount) {
  const changed = (values) => values.map((row, r) => row.map((value, c) => (r === i && c === j ? value + amount : value)));
  if (panel === "x") return loss({ ...layer, x: changed(layer.x) });
  if (panel === "w") return loss({ ...layer, weight: changed(layer.weight) });
  return panel === "y" ? loss(layer, [i, j, amount]) : loss(layer, [], amount);
}

/** The layer of a state with everything computed from it. */
function compute(state) {
  const { x, weight, gradOutput, stride, padding, dilation } = state, options = { stride, padding, dilation };
  return { x, weight, gradOutput, options, y: correlate2d(x, weight, options),
    products: products(x, weight, options), ...backward2d(gradOutput, x, weight, options) };
}

const matrix = (rows, columns, at) =>
  Array.from({ length: Math.max(rows, 0) }, (_, r) => Array.from({ length: Math.max(columns, 0) }, (_, c) => at(r, c)));
const blank = (rows, columns) => matrix(rows, columns, () => ({ value: 0, ref: null }));
const cells = (rows, columns) => matrix(rows, columns, (r, c) => [r, c]).flat();
const shape = (values) => [values.length, values[0].length];
const sum = (values) => values.reduce((total, value) => total + value, 0);

// ---------------------------------------------------------------------------------------------- words and numbers

const TITLE = {
  x: "Input x", w: "Kernel w", y: "Output y",
  gx: "Gradient of the input ∂L/∂x", gw: "Gradient of the kernel ∂L/∂w",
  gy: "Upstream gradient ∂L/∂y", gb: "Gradient of the bias ∂L/∂b",
};
const SYMBOL = { x: "x", w: "w", y: "y", gx: "∂L/∂x", gw: "∂L/∂w", gy: "∂L/∂y", gb: "∂L/∂b", b: "b" };
const SPOKEN = { x: "x", w: "w", y: "y", gx: "gradient of x", gw: "gradient of w", gy: "upstream gradient",
  gb: "gradient of b" };
/** A tensor and its gradient are two views of one choice. */
const KIND = { x: "x", gx: "x", w: "w", gw: "w", y: "y", gy: "y", gb: "b" };
const EDITABLE = { x: "x", w: "weight", gy: "grad_output" };

/** A number as text: at most `digits` significant digits, and a true minus sign. */
function fmt(value, digits = 4) {
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(digits))).replace("-", "−");
}
const inProduct = (value) => (value < 0 ? `(${fmt(value)})` : fmt(value));
/** "=" where every number is printed in full, "≈" where one is rounded. */
const equals = (...values) =>
  values.every((value) => Number.isInteger(value) || Math.abs(value - Number(value.toPrecision(4))) <= 1e-9 * Math.abs(value)) ? "=" : "≈";
const factors = (a, b) => `${inProduct(a)}·${inProduct(b)}`;
const product = (a, b) => `${factors(a, b)} ${equals(a, b, a * b)} ${fmt(a * b)}`;
const at = (panel, i, j) => (panel === "gb" || panel === "b" ? SYMBOL[panel] : `${SYMBOL[panel]}[${i},${j}]`);
const key = ({ panel, i, j }) => `${panel}:${i},${j}`;
const times = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** a … z, aa, ab …: the mark shared by the cells of one product. */
function letter(index) {
  const last = String.fromCharCode(97 + (index % 26));
  return index < 26 ? last : letter(Math.floor(index / 26) - 1) + last;
}

/** "∂L/∂x[1,1] = Σ … = 4 + 6 = 10". */
function writtenSum(name, rule, terms, value) {
  if (!terms.length) return `${name} = 0`;
  const addends = terms.length > 1 ? `${equals(...terms, value)} ${terms.map(inProduct).join(" + ")} ` : "";
  return `${name} = ${rule} ${addends}${equals(value)} ${fmt(value)}`;
}

/** The products that the chosen cell takes part in, in reading order. */
function involving(layer, { panel, i, j }) {
  const belongs = {
    x: (p) => p.m === i && p.n === j,
    w: (p) => p.u === i && p.v === j,
    y: (p) => p.i === i && p.j === j,
    b: (p) => p.u === 0 && p.v === 0,          // once for every output
  }[KIND[panel]];
  return layer.products.filter(belongs);
}

/** The value of a cell; zeros of the padding included. */
function valueOf(layer, { panel, i, j }) {
  if (panel === "gb") return layer.gradBias;
  const values = { x: layer.x, w: layer.weight, y: layer.y, gx: layer.gradX, gw: layer.gradWeight,
    gy: layer.gradOutput }[panel];
  return values[i]?.[j] ?? 0;
}

/** What is lit when `ref` is chosen: Map of cell key → letter of its product ("" for the cell all products meet in). */
function marksFor(layer, ref) {
  const marks = new Map(), { i, j } = ref, kind = KIND[ref.panel];
  const mark = (panel, r, c, text) => marks.set(key({ panel, i: r, j: c }), text);
  involving(layer, ref).forEach((p, index) => {
    const text = letter(index);
    if (kind !== "y") { mark("y", p.i, p.j, text); mark("gy", p.i, p.j, text); }
    if (kind === "x" || kind === "y") mark("w", p.u, p.v, text);
    if (kind === "w" || kind === "y") mark("x", p.m, p.n, text);
    if (kind === "y") { mark("gx", p.m, p.n, text); mark("gw", p.u, p.v, text); }
  });
  for (const panel of Object.keys(KIND)) if (KIND[panel] === kind) mark(panel, i, j, "");
  return marks;
}

/**
 * The explanation of a chosen cell: { title, text, columns, rows: [{ letter, cells: [[symbols, numbers]] }], result,
 * live }. `before` is the layer with the contributions sent so far, while the outputs are walked through.
 */
function explain(layer, ref, before) {
  const list = involving(layer, ref);
  if (KIND[ref.panel] === "x") return explainInput(layer, ref, list);
  if (KIND[ref.panel] === "w") return explainWeight(layer, ref, list);
  return KIND[ref.panel] === "y" ? explainOutput(layer, ref, list, before) : explainBias(layer, list);
}

function explainInput(layer, { i, j }, list) {
  const name = at("x", i, j), inside = layer.x[i]?.[j] !== undefined, count = times(list.length, "output");
  const terms = list.map((p) => layer.gradOutput[p.i][p.j] * layer.weight[p.u][p.v]);
  const text = !inside
    ? `A zero of the padding, read by ${count}. What flows back to it is thrown away: the padding is not an input.`
    : list.length
      ? `${count} read ${name}. Nudge it, and each of them moves by the weight it was read with; L follows by that ` +
        "output’s upstream gradient. So multiply along each path, and add the paths."
      : `No output reads ${name}: every window steps over it or ends before it. It cannot change L, so its gradient is 0.`;
  return {
    title: inside ? `What flows back to ${name}` : "What flows back to the padding", text,
    columns: ["read by", "upstream gradient · weight"],
    rows: list.map((p, index) => ({ letter: letter(index), cells: [
      [at("y", p.i, p.j), ""],
      [`${at("gy", p.i, p.j)}·${at("w", p.u, p.v)}`, product(layer.gradOutput[p.i][p.j], layer.weight[p.u][p.v])]] })),
    result: writtenSum(inside ? at("gx", i, j) : "Thrown away", "Σ ∂L/∂y·w", terms, sum(terms)),
    live: `${inside ? `x ${i}, ${j}` : "Padding"}: ${count} read it; its gradient is ${fmt(inside ? layer.gradX[i][j] : 0)}.`,
  };
}

function explainWeight(layer, { i, j }, list) {
  const name = at("w", i, j), value = (p) => layer.x[p.m]?.[p.n] ?? 0;
  const terms = list.map((p) => layer.gradOutput[p.i][p.j] * value(p));
  return {
    title: `What flows back to ${name}`,
    text: `The weight is shared: ${name} was used ${times(list.length, "time")}, once for each output, on a different ` +
      "input each time. Nudge it, and each output moves by the input it met; L follows by that output’s upstream gradient.",
    columns: ["used for", "upstream gradient · input"],
    rows: list.map((p, index) => ({ letter: letter(index), cells: [
      [at("y", p.i, p.j), ""],
      [`${at("gy", p.i, p.j)}·${p.inside ? at("x", p.m, p.n) : "padding"}`,
        product(layer.gradOutput[p.i][p.j], value(p))]] })),
    result: writtenSum(at("gw", i, j), "Σ ∂L/∂y·x", terms, layer.gradWeight[i][j]),
    live: `w ${i}, ${j}: used ${times(list.length, "time")}; its gradient is ${fmt(layer.gradWeight[i][j])}.`,
  };
}

function explainOutput(layer, { i, j }, list, before) {
  const upstream = layer.gradOutput[i][j], value = (p) => layer.x[p.m]?.[p.n] ?? 0;
  const weight = (p) => layer.weight[p.u][p.v];
  const share = (target, factor, sofar) => [target, sofar === undefined ? product(upstream, factor)
    : `${fmt(sofar)} + ${factors(upstream, factor)} ${equals(sofar, factor, sofar + upstream * factor)} ` +
      fmt(sofar + upstream * factor)];
  return {
    title: `What ${at("y", i, j)} read, and what it sends back`,
    text: `Forward, each of its inputs met one weight. Backward, its upstream gradient ${at("gy", i, j)} = ${fmt(upstream)} ` +
      "returns along the same products: times the weight to the input, times the input to the weight.",
    columns: ["forward: input · weight", `to ∂L/∂x:${before ? " so far +" : ""} upstream · weight`,
      `to ∂L/∂w:${before ? " so far +" : ""} upstream · input`],
    rows: list.map((p, index) => ({ letter: letter(index), cells: [
      [`${p.inside ? at("x", p.m, p.n) : "padding"}·${at("w", p.u, p.v)}`, product(value(p), weight(p))],
      p.inside ? share(at("gx", p.m, p.n), weight(p), before?.gradX[p.m][p.n]) : ["padding", "thrown away"],
      share(at("gw", p.u, p.v), value(p), before?.gradWeight[p.u][p.v])] })),
    result: writtenSum(at("y", i, j), "Σ x·w", list.map((p) => value(p) * weight(p)), layer.y[i][j]),
    live: `y ${i}, ${j} is ${fmt(layer.y[i][j])}; its upstream gradient ${fmt(upstream)} goes back to ` +
      `${times(list.length, "input")} and ${times(list.length, "weight")}.`,
  };
}

function explainBias(layer, list) {
  const terms = list.map((p) => layer.gradOutput[p.i][p.j]);
  return {
    title: "What flows back to the bias b",
    text: "One bias is added to every output. Nudge it, and every output moves by as much; L follows by the sum of all " +
      "upstream gradients. (The outputs here are drawn with b = 0.)",
    columns: ["added to", "upstream gradient"],
    rows: list.map((p, index) => ({ letter: letter(index), cells: [
      [at("y", p.i, p.j), ""], [at("gy", p.i, p.j), fmt(terms[index])]] })),
    result: writtenSum("∂L/∂b", "Σ ∂L/∂y", terms, layer.gradBias),
    live: `Gradient of the bias: the sum of ${times(list.length, "upstream gradient")}, ${fmt(layer.gradBias)}.`,
  };
}

/** The gradient of the chosen cell once more, by nudging it: the two losses and their slope; null for the padding. */
function checkByNudging(layer, ref) {
  const kind = KIND[ref.panel], epsilon = 0.01, { i, j } = ref;
  if (kind === "x" && layer.x[i]?.[j] === undefined) return null;
  const [above, below] = [epsilon, -epsilon].map((amount) => lossAfter(layer, { panel: kind, i, j }, amount));
  const slope = (above - below) / (2 * epsilon);
  const gradient = valueOf(layer, { panel: `g${kind}`, i, j });
  const agrees = Math.abs(slope - gradient) <= 1e-9 * Math.max(1, Math.abs(above), Math.abs(gradient));
  return { name: at(kind, i, j), gradientName: at(`g${kind}`, i, j), epsilon, above, below, slope, gradient, agrees };
}

const NOTHING_YET = {
  title: "Nothing has been sent back yet", columns: [], rows: [], result: "",
  text: "Every gradient starts at 0. Step sends the upstream gradient of one output back, and adds what arrives.",
};

/** The check by nudging, written out. */
function checkText(check) {
  if (!check) return "";
  const { name, gradientName, epsilon, above, below, slope, gradient, agrees } = check;
  return `Check by nudging, with L = Σ ∂L/∂y·y and ε = ${epsilon}: (L(${name} + ε) − L(${name} − ε)) / 2ε ` +
    `= (${fmt(above, 7)} − ${below < 0 ? `(${fmt(below, 7)})` : fmt(below, 7)}) / ${2 * epsilon} ${equals(slope)} ${fmt(slope)}. ` +
    `${gradientName} is ${fmt(gradient)}: ${agrees ? "they agree ✓" : "they differ ✗"}`;
}

/** Positions at the end of each padded axis that no window reaches. */
const leftovers = ({ x, weight, stride, padding, dilation }) =>
  shape(x).map((size, axis) => (size + 2 * padding - dilation * (shape(weight)[axis] - 1) - 1) % stride);

/** How ∂L/∂x is made by sliding, with this layer's numbers. */
function inputRule(state) {
  const { weight, stride, padding, dilation } = state;
  const around = shape(weight).map((k) => dilation * (k - 1) - padding), [above, beside] = around.map((n) => fmt(n));
  const more = leftovers(state).map((n, axis) => (n ? `${n} more ${axis ? "to the right" : "below"}` : "")).filter(Boolean);
  return "∂L/∂x is the full convolution of the upstream gradient with the kernel. " +
    (stride > 1 ? `Stride ${stride}: put ${times(stride - 1, "zero")} between the neighbours of the upstream gradient. ` : "") +
    "Around it come dilation · (kernel size − 1) − padding zeros: " +
    (above === beside ? `${above} on every side` : `${above} above and below, ${beside} left and right`) +
    (Math.min(...around) < 0 ? " (negative: the edge is cut off)" : "") +
    (more.length ? `, and ${more.join(" and ")}, for the part of the input that no window reaches. ` : ". ") +
    `The kernel, turned by 180°${dilation > 1 ? ` and with ${times(dilation - 1, "zero")} between its weights` : ""}, slides over this in steps of 1.`;
}

/** How ∂L/∂w is made by sliding, with this layer's numbers. */
function kernelRule(state) {
  const { stride, padding, dilation } = state, [rows, columns] = leftovers(state);
  return "∂L/∂w is a correlation: nothing is turned. The upstream gradient" +
    (stride > 1 ? `, with ${times(stride - 1, "zero")} between neighbours (the stride has become a dilation),` : "") +
    ` is the kernel that slides over the ${padding ? "padded " : ""}input in steps of ${dilation}` +
    `${dilation > 1 ? " (the dilation has become a stride)" : ""}.` +
    (rows || columns ? ` ${times(rows, "row")} and ${times(columns, "column")} at the end stay out of reach.` : "");
}

// ---------------------------------------------------------------------------------------------- state

const PROPS = ["x", "weight", "grad_output", "stride", "padding", "dilation"];
const CHOICES = { stride: [1, 2, 3, 4], padding: [0, 1, 2, 3], dilation: [1, 2, 3] };
const parse = (text) => text.split("/").map((row) => row.split(" ").map(Number));
const DECK = { x: parse("1 2 0/3 -1 2/0 1 1"), weight: parse("1 2/-1 3"), stride: 1, padding: 0, dilation: 1 };
const FIVE = parse("1 0 2 1 -1/2 1 0 3 1/0 -2 1 2 0/1 1 3 0 2/-1 2 0 1 1");
const THREE = parse("1 2 0/-1 0 3/2 -2 1");
const PRESETS = {
  "3 × 3 input, 2 × 2 kernel": DECK,
  "5 × 5, 3 × 3 kernel, stride 2": { ...DECK, x: FIVE, weight: THREE, stride: 2 },
  "3 × 3, 3 × 3 kernel, padding 1": { ...DECK, weight: THREE, padding: 1 },
  "5 × 5, 2 × 2 kernel, dilation 2": { ...DECK, x: FIVE, dilation: 2 },
};

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A matrix of the given size: the cells of `old` that fit, elsewhere the cell's number in reading order. */
const refit = (old, rows, columns) => matrix(rows, columns, (i, j) => old?.[i]?.[j] ?? i * columns + j + 1);

/** Rows and columns of the output of a state. */
const outputShape = ({ x, weight, ...options }) =>
  shape(x).map((size, axis) => outputSize(size, shape(weight)[axis], options));

/** Properties → state, the upstream gradient made to fit; throws RangeError naming what is wrong. */
function stateFrom({ x, weight, grad_output, stride, padding, dilation }) {
  const state = { x, weight, stride, padding, dilation };
  for (const [name, values] of Object.entries({ x, weight, ...(grad_output && { grad_output }) })) {
    const rectangular = Array.isArray(values) && values[0]?.length && values.every((row) => row.length === values[0].length);
    if (!rectangular || !values.flat().every(Number.isFinite))
      throw new RangeError(`${name} must be a rectangular matrix of finite numbers, got ${JSON.stringify(values)}`);
  }
  for (const [name, allowed] of Object.entries(CHOICES))
    if (!allowed.includes(state[name])) throw new RangeError(`${name} must be one of ${allowed.join(", ")}, got ${state[name]}`);
  const [rows, columns] = outputShape(state);
  if (rows < 1 || columns < 1) throw new RangeError("the kernel is larger than the padded input: there is no output");
  return { ...state, gradOutput: refit(grad_output, rows, columns) };
}

/** State → properties, under the names that Python uses. */
const propsOf = ({ gradOutput, x, weight, stride, padding, dilation }) =>
  ({ x, weight, grad_output: gradOutput, stride, padding, dilation });

// ---------------------------------------------------------------------------------------------- grid

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/** A number as a cell writes it: at most five characters. */
function short(value) {
  const text = String(Number(value.toFixed(Math.abs(value) < 10 ? 2 : 1)));
  return (text.length > 5 ? value.toExponential(0).replace("+", "") : text).replace("-", "−");
}

/** A matrix of numbers as an ARIA grid with one tab stop, walked with the arrow keys, Home and End. */
class Grid {
  /** `choose(ref)` is called when a cell is focused or pressed; `edit(ref, text)` when a number was typed. */
  constructor(root, { choose, edit }) {
    Object.assign(this, { root, choose, onedit: edit, views: [], nodes: [], stop: [0, 0] });
    root.addEventListener("focusin", ({ target }) => this.visit(target, (r, c) => this.arrive(r, c)));
    root.addEventListener("pointerdown", ({ target }) => this.visit(target, (r, c) => { this.again = this.isFocused(r, c); }));
    root.addEventListener("click", ({ target }) => this.visit(target, (r, c) => this.press(r, c)));
    root.addEventListener("keydown", (event) => this.visit(event.target, (r, c) => this.key(event, r, c)));
  }

  /** Call f(r, c) for the cell that is `target` or holds it, unless it is the field of an open cell. */
  visit(target, f) {
    const cell = target.tagName !== "INPUT" && target.closest("[data-at]");
    if (cell) f(...cell.dataset.at.split(" ").map(Number));
  }

  /** Show rows of { text, label, value, ref, kind, letter, chosen }. */
  draw(views) {
    if (!this.nodes.length || !same(shape(views), shape(this.nodes))) this.build(views);
    this.views = views;
    views.forEach((row, r) => row.forEach((view, c) => this.drawCell(this.nodes[r][c], view, r, c)));
    this.nodes[this.stop[0]][this.stop[1]].tabIndex = 0;
  }

  build(views) {
    this.nodes = views.map((row, r) => row.map((_, c) => element("div", { role: "gridcell", "data-at": `${r} ${c}`, tabindex: -1 },
      element("span", { class: "value" }), element("span", { class: "letter", "aria-hidden": "true" }))));
    this.root.replaceChildren(...this.nodes.map((row) => element("div", { role: "row" }, ...row)));
    this.root.style.setProperty("--columns", views[0].length);
    this.stop = this.stop.map((index, axis) => Math.min(index, shape(views)[axis] - 1));
  }

  drawCell(node, { text, label, value, kind, letter, chosen, window }, r, c) {
    const [number, mark] = node.children;
    if (number.textContent !== text) number.textContent = text;
    if (mark.textContent !== (letter ?? "")) mark.textContent = letter ?? "";
    node.className = [kind, letter === undefined ? "" : "lit", letter === "" ? "target" : "", window ? "window" : ""].join(" ").trim();
    node.setAttribute("aria-label", label);
    node.setAttribute("aria-selected", String(chosen));
    node.dataset.value = value;
    node.tabIndex = -1;
    if (chosen) this.stop = [r, c];
  }

  arrive(r, c) {
    this.nodes[this.stop[0]][this.stop[1]].tabIndex = -1;
    this.stop = [r, c];
    this.nodes[r][c].tabIndex = 0;
    this.choose(this.views[r][c].ref);
  }

  isFocused(r, c) { return this.root.getRootNode().activeElement === this.nodes[r][c]; }

  /** A first press chooses a cell, a second opens it. */
  press(r, c) {
    this.nodes[r][c].focus();
    this.choose(this.views[r][c].ref);
    if (this.again) this.open(r, c);
  }

  key(event, r, c) {
    if (event.metaKey || event.altKey || (event.ctrlKey && !/Home|End/.test(event.key))) return;
    const [rows, columns] = shape(this.nodes), move = (row, column) => this.nodes[row]?.[column]?.focus();
    if (event.key in ARROWS) move(r + ARROWS[event.key][0], c + ARROWS[event.key][1]);
    else if (event.key === "Home") move(event.ctrlKey ? 0 : r, 0);
    else if (event.key === "End") move(event.ctrlKey ? rows - 1 : r, columns - 1);
    else if (/^(Enter|F2)$/.test(event.key)) this.open(r, c);
    else if (/^[-−.\d]$/.test(event.key)) this.open(r, c, event.key);
    else return;
    event.preventDefault();
  }

  /** Open a cell that may be changed; Enter and leaving keep what was typed, Escape does not. */
  open(r, c, text) {
    const { ref, editable, label, value } = this.views[r][c], node = this.nodes[r][c], before = String(value);
    if (!editable || node.querySelector("input")) return;
    const input = element("input", { "aria-label": label.split(":")[0], enterkeyhint: "done", autocomplete: "off", maxlength: 12 });
    input.value = text ?? before;
    node.append(input);
    input.focus();
    if (text === undefined) input.select();
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") input.value = before;
      if (event.key === "Escape" || event.key === "Enter") { event.preventDefault(); node.focus(); }
      event.stopPropagation();
    });
    input.addEventListener("blur", () => {
      input.remove();
      if (input.value !== before) this.onedit(ref, input.value);
    }, { once: true });
  }
}

// ---------------------------------------------------------------------------------------------- explorer

const radios = (name, legend) => `<fieldset data-choice="${name}"><legend>${legend}</legend><div>${CHOICES[name].map((value) =>
  `<label><input type="radio" name="${name}" value="${value}"><span>${value}</span></label>`).join("")}</div></fieldset>`;

/** A panel; `panel` colours it and says whose cells it holds, `name` tells the grids apart. */
const figure = (panel, name, title) => `<figure class="${KIND[panel]}" data-figure="${name}"><figcaption><b>${title.replace(/∂.*/, "<i>$&</i>")}</b>
  <span class="size"></span></figcaption><div role="grid" data-grid="${name}"></div></figure>`;

const icon = (path) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>`;
const ICONS = { back: "M13 3 7 8l6 5zM3 3h2v10H3z", play: "M4 2.5v11l9-5.5z", pause: "M4 3h3v10H4zM9 3h3v10H9z", next: "M3 3l6 5-6 5zM11 3h2v10h-2z" };

const TEMPLATE = `<div class="card" role="group" aria-label="Backward explorer">
  <div class="strip"><label class="example">Example <select data-preset></select></label>
    ${radios("stride", "Stride")}${radios("padding", "Padding")}${radios("dilation", "Dilation")}</div>
  <p class="hint">Choose any cell, by a tap or with the arrow keys, to see what flows through it. Cells with the same letter belong to
    the same product. Tap a chosen number of x, w or ∂L/∂y again, or type over it, to change it. Indices count from 0.</p>
  <div class="scroll"><div class="panels">
    <p class="way">Forward → <span>each output is a sum of products, input · weight</span></p>
    ${figure("x", "x", TITLE.x)}${figure("w", "w", TITLE.w)}${figure("y", "y", TITLE.y)}
    <p class="way">← Backward <span>given how the loss L changes with each output, ∂L/∂y: find ∂L/∂x, ∂L/∂w and ∂L/∂b</span></p>
    ${figure("gx", "gx", TITLE.gx)}${figure("gw", "gw", TITLE.gw)}${figure("gy", "gy", TITLE.gy)}${figure("gb", "gb", TITLE.gb)}
  </div></div>
  <div class="player"><span>Walk the outputs:</span> <button type="button" data-action="back"></button><button type="button" data-action="play"></button><button
    type="button" data-action="next"></button> <button type="button" data-action="all">Show all</button> <span class="count"></span></div>
  <div class="details" role="group" aria-label="Explanation of the chosen cell" tabindex="0">
    <p class="where"></p><p class="text"></p><table><thead><tr></tr></thead><tbody></tbody></table><p class="result"></p><p class="check"></p></div>
  <button type="button" class="toggle" data-action="convolution" aria-expanded="false">As a convolution</button>
  <div class="convolution" hidden>
    <section><p class="rule" data-rule="x"></p><div class="row">${figure("gy", "upstream", TITLE.gy)}
      <span class="sign" aria-hidden="true">⋆</span>${figure("w", "turned", "Kernel w turned by 180°")}
      <span class="sign" aria-hidden="true">=</span>${figure("gx", "gx2", TITLE.gx)}</div></section>
    <section><p class="rule" data-rule="w"></p><div class="row">${figure("x", "padded", TITLE.x)}
      <span class="sign" aria-hidden="true">⋆</span>${figure("gy", "spread", TITLE.gy)}
      <span class="sign" aria-hidden="true">=</span>${figure("gw", "gw2", TITLE.gw)}</div></section>
  </div>
  <div class="live" role="status" aria-live="polite"></div>
</div>`;

/** The symbols of a formula, each in the colour of its panel. */
function coloured(text) {
  return text.split(/((?:∂L\/∂)?[xwy]\[[^\]]*\])/).map((part, index) =>
    index % 2 ? element("span", { class: part.match(/[xwy](?=\[)/)[0] }, part) : part);
}

class Explorer {
  constructor(el, { onchange, ...props }) {
    this.onchange = onchange ?? (() => {});
    this.state = stateFrom({ ...DECK, ...props });
    this.ref = { panel: "x", i: Math.min(1, this.state.x.length - 1), j: Math.min(1, this.state.x[0].length - 1) };
    this.walk = null;                                   // outputs sent back so far, or null: all of them
    this.host = element("div", { class: "cnn-backward-explorer", "data-lm-suppress-shortcuts": "true" });
    this.root = this.host.attachShadow({ mode: "open" });
    this.root.innerHTML = `<style>${STYLE}</style>${TEMPLATE}`;
    this.grids = Object.fromEntries([...this.root.querySelectorAll("[data-grid]")].map((root) => [root.dataset.grid,
      new Grid(root, { choose: (ref) => this.choose(ref), edit: (ref, text) => this.edit(ref, text) })]));
    this.listen();
    el.replaceChildren(this.host);
    this.followTheme();
    this.render();
  }

  find(selector) { return this.root.querySelector(selector); }

  listen() {
    this.root.addEventListener("change", ({ target }) => this.configure(target));
    this.root.addEventListener("click", ({ target }) => this.act(target.closest("[data-action]")?.dataset.action));
    this.root.addEventListener("keydown", (event) => event.stopPropagation());          // a page's own shortcuts stay out
  }

  /** Light text means a dark page, whoever made it dark: look when the widget gets its place and when themes change. */
  followTheme() {
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.theme = () => {
      const [r, g, b] = getComputedStyle(this.host.parentElement ?? this.host).color.match(/[\d.]+/g) ?? [];
      this.host.dataset.theme = 0.3 * r + 0.6 * g + 0.1 * b > 140 ? "dark" : "light";
    };
    this.watcher = new MutationObserver(this.theme);
    for (const node of [document.documentElement, document.body]) this.watcher.observe(node, { attributes: true });
    this.sight = new ResizeObserver(this.theme);                    // a notebook puts the element into the page later
    this.sight.observe(this.host);
    this.system.addEventListener("change", this.theme);
    this.theme();
  }

  destroy() {
    this.pause();
    clearTimeout(this.speech);
    this.watcher.disconnect();
    this.sight.disconnect();
    this.system.removeEventListener("change", this.theme);
    this.host.remove();
  }

  // What the reader does.

  /** Take new properties from outside, without reporting them back. */
  update(props) {
    const given = Object.fromEntries(Object.entries(props).filter(([name, value]) => PROPS.includes(name) && value !== undefined));
    const state = stateFrom({ ...propsOf(this.state), ...given });
    if (same(state, this.state)) return;
    this.pause();
    this.walk = null;
    this.state = state;
    this.ref = this.stillThere(this.ref);
    this.render();
  }

  /** Take a change that the reader made, and report what it changed. */
  change(props) {
    const before = propsOf(this.state);
    this.update(props);
    const after = propsOf(this.state);
    const changed = Object.fromEntries(Object.entries(after).filter(([name, value]) => !same(value, before[name])));
    if (Object.keys(changed).length) this.onchange(changed);
    this.speak();
  }

  /** The chosen cell, or, where a new size has no such cell, the nearest one that there is. */
  stillThere({ panel, i, j }) {
    const { x, weight, padding } = this.state;
    const [rows, columns] = { x: shape(x), w: shape(weight), y: outputShape(this.state), b: [1, 1] }[KIND[panel]];
    const rim = panel === "x" ? padding : 0, clamp = (index, size) => Math.max(-rim, Math.min(index, size + rim - 1));
    return { panel, i: clamp(i, rows), j: clamp(j, columns) };
  }

  configure(control) {
    const name = control.closest("[data-choice]")?.dataset.choice;
    if (name) this.change({ [name]: Number(control.value) });
    else if (PRESETS[control.value]) {
      const [rows, columns] = outputShape(PRESETS[control.value]);
      this.change({ ...PRESETS[control.value], grad_output: refit(null, rows, columns) });
    }
  }

  /** A number typed into a cell; fractions such as 1/9 are numbers too. */
  edit({ panel, i, j }, text) {
    const [above, below = 1, ...more] = text.replace("−", "-").replace(",", ".").split("/").map((part) => (part.trim() ? Number(part) : NaN));
    const value = above / below;
    if (more.length || !Number.isFinite(value)) return this.say(`“${text}” is not a number: the cell keeps its own.`);
    const values = propsOf(this.state)[EDITABLE[panel]].map((row) => [...row]);
    if (values[i]?.[j] === undefined) return;              // the matrix shrank from outside while the cell was open
    values[i][j] = value;
    this.change({ [EDITABLE[panel]]: values });
  }

  /** Choose a cell; this ends a walk, so that sums are whole again. An inserted zero (null) cannot be chosen. */
  choose(ref) {
    if (!ref || (this.walk === null && same(ref, this.ref))) return;
    this.pause();
    this.walk = null;
    this.ref = ref;
    this.render();
    this.speak();
  }

  act(action) {
    if (action === "next") this.step(1);
    else if (action === "back") this.step(-1);
    else if (action === "all") this.showAll();
    else if (action === "play") this.timer ? this.pause() : this.play();
    else if (action === "convolution") this.toggle();
  }

  get outputs() { return cells(...outputShape(this.state)); }

  step(by) {
    this.pause();
    this.advance(by);
    this.speak();
  }

  /** Send back `by` outputs more, between none and all of them. */
  advance(by) {
    const from = this.walk ?? (by > 0 ? 0 : this.outputs.length);
    this.walk = Math.max(0, Math.min(this.outputs.length, from + by));
    if (this.walk) {
      const [i, j] = this.outputs[this.walk - 1];
      this.ref = { panel: "gy", i, j };
    }
    this.render();
  }

  /** Send the outputs back one after the other; slower for readers who ask for less motion. */
  play() {
    if (this.walk === null || this.walk === this.outputs.length) this.walk = 0;
    const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 3000 : 1400;
    this.timer = setInterval(() => { this.advance(1); if (this.walk === this.outputs.length) this.step(0); }, pace);
    this.render();
  }

  pause() {
    if (!this.timer) return;
    this.timer = clearInterval(this.timer);
    this.renderPlayer();
  }

  showAll() {
    this.pause();
    this.walk = null;
    this.render();
    this.speak();
  }

  toggle() {
    const view = this.find(".convolution");
    view.hidden = !view.hidden;
    this.find(".toggle").setAttribute("aria-expanded", String(!view.hidden));
    this.render();
  }

  // What the reader sees and hears.

  /** The layer with the gradients of the first `count` outputs only. */
  sentBack(count) {
    const columns = outputShape(this.state)[1];
    const gradOutput = this.state.gradOutput.map((row, i) => row.map((value, j) => (i * columns + j < count ? value : 0)));
    return { ...compute(this.state), ...backward2d(gradOutput, this.state.x, this.state.weight, this.state) };
  }

  render() {
    this.layer = this.walk === null ? compute(this.state) : this.sentBack(this.walk);
    this.before = this.walk ? this.sentBack(this.walk - 1) : undefined;
    this.started = this.walk !== 0;                      // at 0 nothing is chosen: nothing has been sent back yet
    this.marks = this.started ? marksFor(this.layer, this.ref) : new Map();
    this.renderControls();
    this.renderPanels();
    if (!this.find(".convolution").hidden) this.renderConvolution();
    this.renderDetails();
    this.renderPlayer();
  }

  renderControls() {
    for (const [name, values] of Object.entries(CHOICES)) {
      for (const value of values) {
        const radio = this.find(`input[name=${name}][value="${value}"]`);
        radio.checked = value === this.state[name];
        radio.disabled = outputShape({ ...this.state, [name]: value }).some((size) => size < 1);
      }
    }
    const { x, weight, stride, padding, dilation } = this.state, own = "Own numbers";
    const current = Object.keys(PRESETS).find((name) => same(PRESETS[name], { x, weight, stride, padding, dilation })) ?? own;
    const names = [...Object.keys(PRESETS), ...(current === own ? [own] : [])], select = this.find("[data-preset]");
    if (!same(names, [...select.options].map((option) => option.value))) select.replaceChildren(...names.map((name) => new Option(name)));
    select.value = current;
  }

  isPadding({ panel, i, j }) { return panel === "x" && this.state.x[i]?.[j] === undefined; }

  /** What a grid shows of the cell `ref`. */
  view(ref, { marks = this.marks, kind = "", window = false } = {}) {
    const { panel, i, j } = ref, value = valueOf(this.layer, ref), mark = marks.get(key(ref));
    const padding = this.isPadding(ref);
    const name = panel === "gb" ? SPOKEN.gb : `${padding ? "padding of x" : SPOKEN[panel]} ${i}, ${j}`;
    return { text: short(value), value, ref, letter: mark, kind: padding ? "rim" : kind, window, editable: panel in EDITABLE && !padding,
      label: `${name}: ${fmt(value)}${mark ? `, product ${mark}` : ""}`, chosen: this.started && same(ref, this.ref) };
  }

  renderPanels() {
    const { x, weight, gradOutput, padding } = this.state, [H, W] = shape(x);
    const sizes = { x: [H, W], w: shape(weight), y: shape(gradOutput), gx: [H, W], gw: shape(weight), gb: [1, 1], gy: shape(gradOutput) };
    for (const [panel, [rows, columns]] of Object.entries(sizes)) {
      const rim = panel === "x" ? padding : 0;
      this.grids[panel].draw(matrix(rows + 2 * rim, columns + 2 * rim, (r, c) => this.view({ panel, i: r - rim, j: c - rim })));
      const partial = this.walk !== null && ["gx", "gw", "gb"].includes(panel);
      const size = partial ? `so far: ${this.walk}/${this.outputs.length}` : panel === "gb" ? "one number" : `${rows} × ${columns}`;
      this.find(`[data-figure=${panel}] .size`).textContent = size;
      this.grids[panel].root.setAttribute("aria-label", `${TITLE[panel]}, ${size}${rim ? ", padded" : ""}`);
    }
    this.fitCells();
    this.grids.gx.root.style.setProperty("--rim", padding);
    this.find(".panels").style.setProperty("--all", W + 2 * padding + weight[0].length + gradOutput[0].length);
  }

  /** Make cells wide enough for the longest number; partial sums do not count, so that a walk moves nothing. */
  fitCells() {
    const { x, weight, gradOutput, y, gradX, gradWeight, gradBias } = compute(this.state);
    const numbers = [x, weight, gradOutput, y, gradX, gradWeight, gradBias].flat(2);
    const longest = Math.max(...numbers.map((value) => short(value).length));
    this.find(".card").style.setProperty("--least", `${[1.5, 1.5, 1.5, 1.9][longest] ?? 2.9}rem`);
  }

  renderConvolution() {
    const { x, weight, gradOutput, dilation } = this.state, kind = KIND[this.ref.panel];
    const { upstream, turned, padded, spread } = asConvolution(gradOutput, x, weight, this.state);
    const none = new Map(), [kh, kw] = shape(weight), reach = [dilation * (kh - 1), dilation * (kw - 1)];
    const { i, j } = this.ref, within = (r, c, top, left, rows, columns) => r >= top && r < top + rows && c >= left && c < left + columns;
    const draw = (name, rows, marks, isWindow = () => false) => {
      const title = this.find(`[data-figure=${name}] b`).textContent, zeros = rows.flat().some(({ ref }) => !ref || this.isPadding(ref));
      const size = `${shape(rows).join(" × ")}${zeros ? " with zeros" : ""}`;
      this.find(`[data-figure=${name}] .size`).textContent = size;
      this.grids[name].root.setAttribute("aria-label", `${title}, ${size}, for ${marks === forX ? SYMBOL.gx : SYMBOL.gw}`);
      this.grids[name].draw(rows.map((row, r) => row.map(({ ref }, c) => {
        const window = this.started && isWindow(r, c);
        return ref ? this.view(ref, { marks, window }) : { text: "0", value: 0, label: "inserted zero: 0", ref, kind: "gap", window, chosen: false };
      })));
    };
    const forX = kind === "x" || kind === "y" ? this.marks : none, forW = kind === "w" || kind === "y" ? this.marks : none;
    draw("upstream", upstream, forX, (r, c) => kind === "x" && within(r, c, i, j, reach[0] + 1, reach[1] + 1));
    draw("turned", turned, forX);
    draw("gx2", x.map((row, m) => row.map((_, n) => ({ ref: { panel: "gx", i: m, j: n } }))), forX);
    draw("padded", padded, forW, (r, c) => kind === "w" && within(r, c, dilation * i, dilation * j, ...shape(spread)));
    draw("spread", spread, forW);
    draw("gw2", weight.map((row, u) => row.map((_, v) => ({ ref: { panel: "gw", i: u, j: v } }))), forW);
    this.find("[data-rule=x]").textContent = inputRule(this.state);
    this.find("[data-rule=w]").textContent = kernelRule(this.state);
  }

  renderDetails() {
    const { title, text, columns, rows, result } = this.started ? explain(this.layer, this.ref, this.before) : NOTHING_YET;
    this.find(".where").textContent = title;
    this.find(".text").replaceChildren(...coloured(text));
    this.find(".details tr").replaceChildren(...(columns.length ? ["product", ...columns] : []).map((name) => element("th", { scope: "col" }, element("span", {}, name))));
    this.find(".details tbody").replaceChildren(...rows.map((row) => element("tr", {}, element("th", { scope: "row" }, row.letter),
      ...row.cells.map(([symbols, numbers]) => element("td", {}, element("span", { class: "symbols" }, ...coloured(symbols)), " ",
        element("span", { class: "numbers" }, numbers))))));
    this.find(".result").replaceChildren(...coloured(result));
    this.find(".check").replaceChildren(...coloured(this.started ? checkText(checkByNudging(this.layer, this.ref)) : ""));
    const most = Math.max(this.outputs.length, this.state.weight.flat().length);
    this.find(".details").style.setProperty("--rows", Math.min(most, 9));
  }

  renderPlayer() {
    const labels = { back: ["Step back", ICONS.back], play: this.timer ? ["Pause", ICONS.pause] : ["Play", ICONS.play], next: ["Step", ICONS.next] };
    for (const [action, [label, path]] of Object.entries(labels)) {
      const button = this.find(`[data-action=${action}]`);
      if (button.title === label) continue;
      button.innerHTML = icon(path);
      button.setAttribute("aria-label", label);
      button.title = label;
    }
    this.find(".count").textContent = this.walk === null ? `all ${this.outputs.length} sent back` : `${this.walk} of ${this.outputs.length} sent back`;
  }

  /** Tell a screen reader about the choice, or how far the walk is. */
  speak() {
    const progress = this.walk === null ? "" : `${this.walk} of ${this.outputs.length} outputs sent back. `;
    this.say(progress + (this.started ? explain(this.layer, this.ref).live : ""));
  }

  /** Say it once the reader rests. */
  say(text) {
    clearTimeout(this.speech);
    this.speech = setTimeout(() => { this.find(".live").textContent = text; }, 200);
  }
}

// ---------------------------------------------------------------------------------------------- style

const STYLE = `
:host { display: block; container-type: inline-size; color-scheme: light; text-align: start;
  --ink: #1d2530; --muted: #566170; --paper: #fff; --card: #f8f9fb; --line: #d5dae1; --edge: #808b99;
  --input: #0b58a8; --kernel: #8f4300; --output: #0a6350; }
:host([data-theme=dark]) { color-scheme: dark;
  --ink: #e9edf2; --muted: #a9b4c2; --paper: #1d232b; --card: #14191f; --line: #343d49; --edge: #7b8796;
  --input: #86bfff; --kernel: #ffb877; --output: #6ad9bc; }
* { box-sizing: border-box; }
p, figure, fieldset { margin: 0; padding: 0; border: 0; }
[hidden] { display: none !important; }
.card { color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem;
  font: 400 .9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
.strip, .player, .row { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem 1.25rem; }
fieldset { display: flex; align-items: center; gap: .5rem; min-width: 0; }
legend { float: left; padding: 0; }
legend, .example, .player { font-size: .8125rem; color: var(--muted); }
fieldset > div { display: flex; border: 1px solid var(--edge); border-radius: 6px; background: var(--paper); }
fieldset label { position: relative; cursor: pointer; }
fieldset input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
fieldset span { display: block; min-width: 1.9rem; padding: .2rem .55rem; text-align: center; font-size: .875rem; color: var(--ink); border-radius: 5px; }
input:checked + span { background: var(--ink); color: var(--card); font-weight: 600; }
input:disabled + span { text-decoration: line-through; opacity: .5; }
select, button { font: inherit; font-size: .8125rem; color: var(--ink); background: var(--paper); border: 1px solid var(--edge); border-radius: 6px;
  height: 1.9rem; max-width: 100%; }
button { min-width: 2.1rem; padding: 0 .5rem; cursor: pointer; }
svg { width: 14px; height: 14px; vertical-align: -2px; fill: currentColor; }
.hint, .size, .count { color: var(--muted); font-size: .8125rem; }
.hint { margin: .6rem 0; }
.scroll, .row { overflow-x: auto; padding: 4px; margin: -4px; }
.panels { display: grid; grid-template-columns: 1.5fr 1.1fr 1.1fr .9fr; gap: 0 1rem; }
.panels figure { display: grid; grid-template-rows: subgrid; grid-row: 2 / span 2; }
.panels [data-figure^=g] { grid-row: 5 / span 2; }
.panels .x { grid-column: 1; } .panels .w { grid-column: 2; } .panels .y { grid-column: 3; } .panels .b { grid-column: 4; }
.way { contain: inline-size; grid-column: 1 / -1; margin-bottom: .3rem; font-size: .8125rem; font-weight: 600; border-bottom: 1px solid var(--line); }
figure ~ .way { margin-top: .7rem; }
.way span { font-weight: 400; color: var(--muted); margin-inline-start: .5rem; }
figcaption { contain: inline-size; min-width: 4.3rem; margin-bottom: .3rem; font-size: .8125rem; line-height: 1.3; }
i { font-style: normal; white-space: nowrap; }
.size { display: block; white-space: nowrap; font-size: .75rem; }
.row figure { min-width: 7rem; }
.x { --role: var(--input); } .w { --role: var(--kernel); } .y { --role: var(--output); } .b { --role: var(--kernel); }
b, .symbols span, .text span, .result span, .check span { color: var(--role); }
[role=grid] { --cell: clamp(var(--least), calc((100cqi - 4.4rem) / var(--all) - 2px), max(var(--least), 2.3rem)); display: grid; gap: 2px; align-content: start;
  grid: auto-flow max(var(--cell), 2rem) / repeat(var(--columns), var(--cell)); width: max-content; margin-inline-start: calc(var(--rim, 0) * (var(--cell) + 2px)); }
.row [role=grid] { --cell: max(var(--least), 1.75rem); }
[role=row] { display: contents; }
[role=gridcell] { position: relative; display: grid; place-items: center; border: 1px solid var(--line); border-radius: 4px; font-size: .8125rem;
  line-height: 1; background: var(--paper); color: var(--ink); user-select: none; cursor: pointer; }
.rim, .gap { border: 1px dashed var(--edge); color: var(--muted); background: none; }
.gap { cursor: default; }
.window { border: 1px solid var(--role); }
.lit { border: 2px solid var(--role); background: color-mix(in srgb, var(--role) 16%, var(--paper)); color: var(--ink); font-weight: 600; }
.target { border: 4px double var(--role); font-weight: 700; }
.letter { position: absolute; top: 1px; inset-inline-end: 3px; font-size: .625rem; font-weight: 700; font-style: italic; color: var(--role); }
.lit:not(.target) .value { transform: translateY(.4em); }
[aria-selected=true] { outline: 2px solid var(--ink); outline-offset: 1px; z-index: 1; }
[role=gridcell] input { position: absolute; inset: -3px auto -3px -3px; width: 3.2rem; border: 2px solid var(--role); padding: 0 .15rem; z-index: 2; text-align: center;
  font: inherit; font-size: 1rem; color: var(--ink); background: var(--paper); border-radius: 4px; }
:focus-visible, fieldset input:focus-visible + span { outline: 3px solid var(--role, var(--input)); outline-offset: 2px; z-index: 1; }
.player { gap: .35rem; margin-top: .9rem; }
.details { height: calc(12.75rem + var(--rows) * 1.55rem); overflow: auto; margin-top: .8rem; padding-top: .7rem; border-top: 1px solid var(--line); }
.where { font-weight: 600; }
table { border-collapse: collapse; margin: .4rem 0; font-size: .875rem; }
th, td { text-align: start; padding: .1rem .9rem .1rem 0; white-space: nowrap; vertical-align: top; }
thead th { font-size: .75rem; font-weight: 400; color: var(--muted); }
tbody th { font-style: italic; }
.numbers { margin-inline-start: .5rem; }
.result { font-weight: 600; }
.check { margin-top: .3rem; font-size: .8125rem; color: var(--muted); }
.toggle { margin-top: .6rem; }
.toggle::before { content: "▸ "; }
.toggle[aria-expanded=true]::before { content: "▾ "; }
section { margin-top: .8rem; }
.rule { font-size: .875rem; margin-bottom: .5rem; }
.sign { font-size: 1.25rem; color: var(--muted); }
.live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (max-width: 34rem) {
  .card { padding: .75rem; }
  .panels { grid-template-columns: repeat(3, auto); justify-content: space-between; gap: 0 .5rem; }
  .panels .b { grid-column: 2 / -1; grid-row: 7 / span 2; margin-top: .5rem; }
  .text { font-size: .875rem; }
  table { font-size: .75rem; }
  th, td { padding-inline-end: .4rem; }
  thead th { white-space: normal; font-size: .6875rem; }
  thead th:first-child span { position: absolute; clip-path: inset(50%); }
  .numbers { display: block; margin: 0; }
  .details { height: calc(23.5rem + var(--rows) * 2.45rem); }
}
@media print { .strip, .player, .hint, .toggle { display: none; } }
`;

// ---------------------------------------------------------------------------------------------- adapters

/**
 * Draw an explorer in `el`. `props` are any of x, weight, grad_output, stride, padding, dilation, and
 * `onchange(changed)`, called with the properties that the reader changed. Throws RangeError naming a bad property.
 */
export function mount(el, props = {}) {
  const explorer = new Explorer(el, props);
  return { update: (changed) => explorer.update(changed), destroy: () => explorer.destroy() };
}

/** anywidget: the properties are the traits of the Python object. */
function render({ model, el }) {
  const props = () => Object.fromEntries(PROPS.map((name) => [name, model.get(name)]));
  const onchange = (changed) => {
    for (const [name, value] of Object.entries(changed)) model.set(name, value);
    model.save_changes();
  };
  const handle = mount(el, { ...props(), onchange });
  const follow = () => handle.update(props());          // all at once: x alone may not fit the kernel that came with it
  for (const name of PROPS) model.on(`change:${name}`, follow);
  return () => {
    for (const name of PROPS) model.off(`change:${name}`, follow);
    handle.destroy();
  };
}

export default { render };

if (globalThis.customElements && !customElements.get("cnn-backward-explorer")) {
  customElements.define("cnn-backward-explorer", class extends HTMLElement {
    static observedAttributes = ["props"];

    get props() { return JSON.parse(this.getAttribute("props") || "{}"); }

    connectedCallback() {
      this.style.display = "block";
      this.handle = mount(this, this.props);
    }

    disconnectedCallback() {
      this.handle?.destroy();
      this.handle = undefined;
    }

    attributeChangedCallback() { this.handle?.update(this.props); }
  });
}
