/**
 * Convolution explorer: edit an input and a kernel, and see every number of the output being made.
 *
 * One file, no imports, no network. `mount(el, props)` draws it; the default export is anywidget's adapter, and
 * <cnn-convolution-explorer props='{…}'> is the page's. Matrices are arrays of rows.
 */

const PROPS = ["x", "weight", "stride", "padding", "dilation", "mode"];
const CHOICES = {
  stride: [1, 2, 3, 4],
  padding: [0, 1, 2, 3],
  dilation: [1, 2, 3],
  mode: ["correlation", "convolution"],
};
const LARGEST = { x: 12, weight: 7 };
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const table = (rows, columns, f) =>
  Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => f(i, j)));
const parse = (text) => text.split("/").map((row) => row.split(" ").map(Number));

// The decks' 6 × 6 image and filter, the first image of the UCI digits (0…16), and pictures that show one thing each.
const INPUTS = {
  "Deck’s image": parse("1 0 0 0 0 1/0 1 0 0 1 0/0 0 1 1 0 0/1 0 0 0 1 0/0 1 0 0 1 0/0 0 1 0 1 0"),
  "Edge": table(6, 6, (i, j) => +(j > 2)),
  "Digit": parse(
    "0 0 5 13 9 1 0 0/0 0 13 15 10 15 5 0/0 3 15 2 0 11 8 0/0 4 12 0 0 8 8 0/" +
      "0 5 8 0 0 9 8 0/0 4 11 0 1 12 7 0/0 2 14 5 10 12 0 0/0 0 6 13 10 0 0 0",
  ),
  "Ramp": table(7, 7, (i, j) => 7 * i + j),
  "Single one": table(5, 5, (i, j) => +(i === 2 && j === 2)),
};
const KERNELS = {
  "Deck’s filter": parse("1 -1 -1/-1 1 -1/-1 -1 1"),
  "1 to 9": table(3, 3, (a, b) => 3 * a + b + 1),
  "Sobel": parse("-1 0 1/-2 0 2/-1 0 1"),
  "Shift": parse("0 0 0/0 0 1/0 0 0"),
  "Blur": table(3, 3, (a, b) => ([1, 2, 1][a] * [1, 2, 1][b]) / 16),
};
const PRESETS = { x: INPUTS, weight: KERNELS };
const DEFAULTS = {
  x: INPUTS["Deck’s image"],
  weight: KERNELS["Deck’s filter"],
  stride: 1,
  padding: 0,
  dilation: 1,
  mode: "correlation",
};

// ------------------------------------------------------------------------------------------------------- arithmetic

/** What is left of one axis beside the first window; negative when the kernel is larger than the padded input. */
const room = (size, kernel, { padding = 0, dilation = 1 }) => size + 2 * padding - dilation * (kernel - 1) - 1;

/** Number of windows along one axis: floor((size + 2p − d(k − 1) − 1) / s) + 1, or 0 when not even one fits. */
export function outputSize(size, kernel, options = {}) {
  return Math.max(0, Math.floor(room(size, kernel, options) / (options.stride ?? 1)) + 1);
}

/** How many padded positions at the end of one axis no window covers (0 or more; for a kernel that fits). */
export function leftover(size, kernel, options = {}) {
  return room(size, kernel, options) % (options.stride ?? 1);
}

/** The kernel turned by 180°. */
export const turn = (weight) => weight.map((row) => [...row].reverse()).reverse();

/** The products that make output (i, j), row-major: padded position, input number (0 in the padding) and weight. */
function taps(x, weight, i, j, { stride = 1, padding = 0, dilation = 1 }) {
  return weight.flatMap((row, a) =>
    row.map((w, b) => {
      const r = i * stride + a * dilation;
      const c = j * stride + b * dilation;
      const value = x[r - padding]?.[c - padding];
      return { r, c, w, value: value ?? 0, padded: value === undefined };
    }),
  );
}

/** Cross-correlation of x (H × W) with weight (kh × kw), as rows; throws RangeError when the kernel does not fit. */
export function correlate2d(x, weight, options = {}) {
  const rows = outputSize(x.length, weight.length, options);
  const columns = outputSize(x[0].length, weight[0].length, options);
  if (!rows || !columns) throw new RangeError("the kernel is larger than the padded input");
  return table(rows, columns, (i, j) => taps(x, weight, i, j, options).reduce((sum, t) => sum + t.value * t.w, 0));
}

/** Indices along one padded axis that no tap of any window reads. */
function unread(size, kernel, { stride, padding, dilation }, windows) {
  const read = new Set(table(windows, kernel, (i, a) => i * stride + a * dilation).flat());
  return [...Array(size + 2 * padding).keys()].filter((index) => !read.has(index));
}

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

// ------------------------------------------------------------------------------------------------------------ words

const round = (value, digits) => Number(value.toFixed(digits));
const signed = (text) => String(text).replace("-", "−");

/** A number as a sum writes it: at most four decimals, a true minus sign. */
const number = (value) => signed(round(value, 4));
const factor = (value) => (value < 0 ? `(${number(value)})` : number(value));

/** A number as a cell writes it: at most five characters. */
function short(value) {
  const text = String(round(value, Math.abs(value) < 10 ? 2 : 1));
  return signed(text.length > 5 ? value.toExponential(0).replace("+", "") : text);
}

const list = (items) => (items.length < 2 ? items.join("") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
const sizeOf = (matrix) => `${matrix.length} × ${matrix[0].length}`;

/** "row 7", "rows 6, 7 and 1 of padding", "2 rows of padding": padded indices in words. */
function line(indices, word, size, padding) {
  const inside = indices.map((index) => index - padding + 1).filter((place) => place >= 1 && place <= size);
  const outside = indices.length - inside.length;
  if (!inside.length) return `${plural(outside, word)} of padding`;
  return `${word}${inside.length > 1 ? "s" : ""} ${list([...inside, ...(outside ? [`${outside} of padding`] : [])])}`;
}

/** The same for every axis that an `axis` stands for: "row 7, column 7". */
const lines = (indices, { words, size }, padding) => words.map((word) => line(indices, word, size, padding)).join(", ");

/** The size formula of one axis with its numbers put in. */
function sizeFormula({ size, kernel, windows }, { stride: s, padding: p, dilation: d }) {
  const left = size + 2 * p - d * (kernel - 1) - 1;
  const filled = `⌊(${size} + 2·${p} − ${d}·(${kernel} − 1) − 1) / ${s}⌋ + 1`;
  return left < 0 ? `${filled}: ${number(left)} is negative` : `${filled} = ⌊${left} / ${s}⌋ + 1 = ${windows}`;
}

/** What frameworks do with a remainder, or how the kernel is too large; "" where the windows end at the edge. */
function fitNote(axis, { stride, padding, dilation }) {
  const { words, size, kernel, windows, rest } = axis;
  const padded = size + 2 * padding;
  const reach = dilation * (kernel - 1) + 1;
  if (!windows)
    return `The kernel reaches over ${list(words.map((word) => plural(reach, word)))}; the padded input has ${padded}.`;
  if (!rest) return "";
  const dropped = Array.from({ length: rest }, (_, k) => padded - rest + k);
  return (
    `(${padded} − ${reach}) / ${stride} + 1 = ${round((padded - reach) / stride + 1, 2)} is not whole: the lecture ` +
    `decks say it “doesn’t fit”. Frameworks round down to ${windows} and drop the remainder without a word: ` +
    `no window reaches ${lines(dropped, axis, padding)}.`
  );
}

/** Lines of the input that lie between the taps, apart from the remainder. */
function gapNote(axis, { padding }) {
  const { size, skipped, rest } = axis;
  const between = skipped.slice(0, skipped.length - rest).filter((index) => index >= padding && index < size + padding);
  return between.length ? `No tap ever reads ${lines(between, axis, padding)}: the windows step over.` : "";
}

/** How the two modes compare on this input. */
function modeNote({ x, weight, ...options }) {
  if (same(weight, turn(weight)))
    return "Correlation and convolution agree here: this kernel equals its own turn by 180°.";
  const [y, z] = [weight, turn(weight)].map((w) => correlate2d(x, w, options).flat());
  const differing = y.filter((value, k) => Math.abs(value - z[k]) > 1e-9).length;
  return differing
    ? `Correlation and convolution differ in ${differing} of ${plural(y.length, "output")}: ` +
        "convolution turns the kernel by 180° first."
    : "Correlation and convolution agree on this input, although the kernel changes when it is turned.";
}

/** The sum in words for a screen reader: only the products that are not 0. */
function spoken(row, column, terms, total) {
  const parts = terms.filter((t) => t.value * t.w !== 0).map((t) => `${number(t.value)} times ${number(t.w)}`);
  const zeros = terms.length - parts.length;
  const sum = parts.length > 12 ? plural(parts.length, "product") : list(parts) || "nothing";
  return (
    `Output row ${row + 1}, column ${column + 1} is ${number(total)}: the sum of ${sum}` +
    (zeros ? `; ${plural(zeros, "product")} ${zeros === 1 ? "is" : "are"} 0.` : ".")
  );
}

// ------------------------------------------------------------------------------------------------------------- grid

const element = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
};

/**
 * A matrix of numbers as an ARIA grid with one tab stop, walked with the arrow keys, Home and End. Cells of a rim
 * (padding) are shown but not visited. With `onedit`, typing or clicking opens a cell.
 */
class Grid {
  constructor(root, { onpoint, onedit } = {}) {
    Object.assign(this, { root, onpoint, onedit, rim: 0, cells: [], at: [0, 0] });
    root.addEventListener("pointerover", (event) => event.pointerType === "mouse" && this.visit(event.target, onpoint));
    root.addEventListener("focusin", (event) =>
      this.visit(event.target, (i, j) => {
        this.stop(i, j);
        onpoint?.(i, j);
      }),
    );
    root.addEventListener("click", (event) => this.visit(event.target, (i, j) => this.click(i, j)));
    root.addEventListener("keydown", (event) => this.visit(event.target, (i, j) => this.press(event, i, j)));
  }

  /** Call f(i, j) for the cell that holds `target`, unless it is rim. */
  visit(target, f) {
    const cell = target.closest("[data-at]");
    if (cell && f) f(...cell.dataset.at.split(" ").map(Number));
  }

  /** The cell of padded position (r, c). */
  cell(r, c) {
    return this.cells[r]?.[c];
  }

  /** Show `values` (rows), with `rim` zeros around them; `describe(i, j)` names a cell. */
  fill(values, rim, describe) {
    const rows = values.length + 2 * rim;
    const columns = values[0].length + 2 * rim;
    if (rows !== this.cells.length || columns !== this.cells[0].length || rim !== this.rim)
      this.build(values, rows, columns, rim);
    const largest = Math.max(...values.flat().map(Math.abs)) || 1;
    values.forEach((row, i) =>
      row.forEach((value, j) => {
        const cell = this.cell(i + rim, j + rim);
        cell.replaceChildren(element("span", { class: "value" }, short(value)));
        cell.style.setProperty("--length", short(value).length);
        cell.setAttribute("aria-label", `${describe(i, j)}: ${number(value)}`);
        cell.dataset.sign = Math.sign(value);
        cell.style.setProperty("--tint", (Math.abs(value) / largest).toFixed(2));
      }),
    );
  }

  build(values, rows, columns, rim) {
    const inside = (i, j) => i >= 0 && j >= 0 && i < values.length && j < values[0].length;
    this.rim = rim;
    this.cells = table(rows, columns, (r, c) =>
      inside(r - rim, c - rim)
        ? element("div", { role: "gridcell", tabindex: -1, "data-at": `${r - rim} ${c - rim}` })
        : element("div", { role: "gridcell", class: "rim", "aria-label": "padding: 0" }, "0"),
    );
    this.frame = element("div", { class: "frame", "aria-hidden": "true", hidden: "" });
    this.root.replaceChildren(...this.cells.map((row) => element("div", { role: "row" }, ...row)), this.frame);
    this.root.style.setProperty("--columns", columns);
    this.root.classList.toggle("dense", columns > 9);
    this.stop(Math.min(this.at[0], values.length - 1), Math.min(this.at[1], values[0].length - 1));
  }

  /** Make (i, j) the grid's tab stop. */
  stop(i, j) {
    this.root.querySelector("[tabindex='0']")?.setAttribute("tabindex", -1);
    this.at = [i, j];
    this.cell(i + this.rim, j + this.rim).setAttribute("tabindex", 0);
  }

  focus(i, j) {
    this.cell(i + this.rim, j + this.rim)?.focus();
  }

  /** Draw the frame around a window of padded positions. */
  outline(r, c, rows, columns) {
    this.frame.style.gridArea = `${r + 1} / ${c + 1} / span ${rows} / span ${columns}`;
  }

  click(i, j) {
    if (!this.onedit) this.focus(i, j);
    else if (!this.root.querySelector("input")) this.edit(i, j);
  }

  press(event, i, j) {
    if (
      event.target.tagName === "INPUT" ||
      (event.ctrlKey && !/Home|End/.test(event.key)) ||
      event.metaKey ||
      event.altKey
    )
      return;
    const last = [this.cells.length - 2 * this.rim - 1, this.cells[0].length - 2 * this.rim - 1];
    if (event.key in ARROWS) this.focus(i + ARROWS[event.key][0], j + ARROWS[event.key][1]);
    else if (event.key === "Home") this.focus(event.ctrlKey ? 0 : i, 0);
    else if (event.key === "End") this.focus(event.ctrlKey ? last[0] : i, last[1]);
    else if (this.onedit && /^(Enter|F2)$/.test(event.key)) this.edit(i, j);
    else if (this.onedit && /^[-−.\d]$/.test(event.key)) this.edit(i, j, event.key);
    else return;
    event.preventDefault();
  }

  /** Open cell (i, j); `text` replaces its number. Enter and leaving keep what was typed, Escape does not. */
  edit(i, j, text) {
    const cell = this.cell(i + this.rim, j + this.rim);
    const [name, before] = cell.getAttribute("aria-label").split(": ");
    const input = element("input", { "aria-label": name, enterkeyhint: "done", autocomplete: "off", maxlength: 12 });
    input.value = text ?? before;
    cell.append(input);
    input.focus();
    if (text === undefined) input.select();
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") input.value = before;
      if (event.key === "Escape" || event.key === "Enter") cell.focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    input.addEventListener(
      "blur",
      () => {
        input.remove();
        if (input.value !== before) this.onedit(i, j, input.value);
      },
      { once: true },
    );
  }
}

// --------------------------------------------------------------------------------------------------------- explorer

const icon = (path) => `<svg viewBox="0 0 16 16" aria-hidden="true"><path d="${path}"/></svg>`;
const ICONS = {
  back: "M3 3h2v10H3zM13 3v10L6 8z",
  play: "M4 2.5v11l9-5.5z",
  pause: "M4 3h3v10H4zM9 3h3v10H9z",
  next: "M3 3l7 5-7 5zM11 3h2v10h-2z",
};
const MISFIT = "No output: the kernel is larger than the padded input.";

const radios = (name, legend) =>
  `<fieldset data-choice="${name}"><legend>${legend}</legend><div>${CHOICES[name]
    .map((value) => `<label><input type="radio" name="${name}" value="${value}"><span>${value}</span></label>`)
    .join("")}</div></fieldset>`;

const figure = (key, title, controls) => `<figure class="${key}">
  <figcaption><b>${title}</b> <span class="size"></span></figcaption>
  <div class="controls">${controls}</div>
  <div class="scroll"><div role="grid" data-grid="${key}"></div></div>
  <p class="caption"></p>
</figure>`;

const selects = (key, name) => `<select data-preset="${key}" aria-label="${name} preset"></select>
  <select data-size="${key}" aria-label="${name} size"></select>`;

const player = ["back", "play", "next"]
  .map((action) => `<button type="button" data-action="${action}"></button>`)
  .join("");

const TEMPLATE = `<div class="card" role="group" aria-label="Convolution explorer">
  <div class="strip">
    ${radios("stride", "Stride")}${radios("padding", "Padding")}${radios("dilation", "Dilation")}${radios("mode", "Mode")}
  </div>
  <div class="figures">
    ${figure("x", "Input", selects("x", "Input"))}
    ${figure("weight", "Kernel", selects("weight", "Kernel"))}
    ${figure("y", "Output", `${player}<span class="count"></span>`)}
  </div>
  <div class="sum"><p class="where"></p><div class="terms" role="group" aria-label="Sum"></div></div>
  <div class="notes">
    <p class="formula">⌊(size + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1</p>
    <div class="axes"></div><ul></ul>
  </div>
  <p class="hint">Point at, tap or step through the output; the arrow keys walk it. To change a number of the input or of
    the kernel, click it or type over it.</p>
  <div class="live" role="status" aria-live="polite"></div>
</div>`;

class Explorer {
  constructor(el, props) {
    this.onchange = props.onchange ?? (() => {});
    this.state = { ...DEFAULTS };
    this.active = [0, 0];
    this.host = element("div", { class: "cnn-convolution-explorer", "data-lm-suppress-shortcuts": "true" });
    this.root = this.host.attachShadow({ mode: "open" });
    this.root.innerHTML = `<style>${STYLE}</style>${TEMPLATE}`;
    this.turned = element("div", { role: "grid", "aria-label": "Kernel turned by 180°" });
    this.find("figure.weight").append(
      this.find("figure.weight").querySelector(".caption"),
      element("div", { class: "scroll turned" }, this.turned),
    );
    this.grids = {
      x: new Grid(this.find("[data-grid=x]"), { onedit: (i, j, text) => this.edit("x", i, j, text) }),
      weight: new Grid(this.find("[data-grid=weight]"), { onedit: (i, j, text) => this.edit("weight", i, j, text) }),
      turned: new Grid(this.turned),
      y: new Grid(this.find("[data-grid=y]"), {
        onpoint: (i, j) => {
          this.pause();
          this.select(i, j);
        },
      }),
    };
    this.listen();
    el.replaceChildren(this.host);
    this.followTheme();
    this.update(props);
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  listen() {
    this.root.addEventListener("change", ({ target }) => this.choose(target));
    this.root.addEventListener("click", ({ target }) => this.act(target.closest("[data-action]")?.dataset.action));
    this.root.addEventListener("keydown", (event) => event.stopPropagation()); // a page's own shortcuts stay out
    for (const type of ["pointerover", "focusin"])
      this.root.addEventListener(type, ({ target }) => this.mark(target.closest("[data-tap]")?.dataset.tap));
  }

  /** Light text means a dark page, whoever made it dark: look when the widget gets its place and when themes change. */
  followTheme() {
    this.theme = () => {
      const [r, g, b] = getComputedStyle(this.host.parentElement ?? this.host).color.match(/[\d.]+/g) ?? [];
      this.host.dataset.theme = 0.3 * r + 0.6 * g + 0.1 * b > 140 ? "dark" : "light";
    };
    this.system = matchMedia("(prefers-color-scheme: dark)");
    this.system.addEventListener("change", this.theme);
    this.watchers = [new MutationObserver(this.theme), new ResizeObserver(this.theme)];
    for (const node of [document.documentElement, document.body]) this.watchers[0].observe(node, { attributes: true });
    this.watchers[1].observe(this.host);
    this.theme();
  }

  destroy() {
    this.pause();
    clearTimeout(this.speech);
    for (const watcher of this.watchers) watcher.disconnect();
    this.system.removeEventListener("change", this.theme);
    this.host.remove();
  }

  // What the reader does.

  /** Take new properties from outside, without reporting them back. */
  update(props) {
    for (const name of PROPS) if (props[name] !== undefined) this.state[name] = props[name];
    this.render();
  }

  /** Take a change that the reader made, and report it. */
  change(props) {
    this.pause();
    this.update(props);
    this.onchange(props);
    this.say(this.result ? `Output ${sizeOf(this.result)}.` : MISFIT);
  }

  choose(control) {
    const { preset, size } = control.dataset;
    const name = control.closest("[data-choice]")?.dataset.choice;
    if (preset) this.change({ [preset]: PRESETS[preset][control.value] });
    else if (size) this.change({ [size]: this.resized(this.state[size], control.value.split(" × ").map(Number)) });
    else if (name) this.change({ [name]: name === "mode" ? control.value : Number(control.value) });
  }

  resized(matrix, [rows, columns]) {
    return table(rows, columns, (i, j) => matrix[i]?.[j] ?? 0);
  }

  /** A number typed into a cell; fractions such as 1/9 are numbers too. */
  edit(key, i, j, text) {
    const [above, below = 1, ...more] = text
      .replace("−", "-")
      .replace(",", ".")
      .split("/")
      .map((part) => (part.trim() ? Number(part) : NaN));
    const value = above / below;
    if (more.length || !Number.isFinite(value)) return this.say(`“${text}” is not a number: the cell keeps its own.`);
    const matrix = this.state[key].map((row) => [...row]);
    matrix[i][j] = value;
    this.change({ [key]: matrix });
  }

  act(action) {
    if (action === "next") this.step(1);
    else if (action === "back") this.step(-1);
    else if (action === "play") this.timer ? this.pause() : this.play();
  }

  step(by) {
    this.pause();
    this.advance(by);
  }

  /** Go `by` output cells on, row by row, from the last to the first. */
  advance(by) {
    if (!this.result) return;
    const columns = this.result[0].length;
    const count = this.result.length * columns;
    const index = (this.active[0] * columns + this.active[1] + by + count) % count;
    this.select(Math.floor(index / columns), index % columns);
  }

  /** Scan to the last output cell; slower for readers who ask for less motion. */
  play() {
    if (!this.result) return;
    const isLast = () => same(this.active, [this.result.length - 1, this.result[0].length - 1]);
    if (isLast()) this.select(0, 0);
    this.timer = setInterval(
      () => {
        this.advance(1);
        if (isLast()) this.pause();
      },
      matchMedia("(prefers-reduced-motion: reduce)").matches ? 1600 : 700,
    );
    this.renderPlayer();
  }

  pause() {
    if (!this.timer) return;
    this.timer = clearInterval(this.timer);
    this.renderPlayer();
    this.speak();
  }

  select(row, column) {
    this.active = [row, column];
    this.renderWindow();
    if (!this.timer) this.speak();
  }

  // What the reader sees and hears.

  /** The kernel that slides: as it is, or turned. */
  get kernel() {
    return this.state.mode === "convolution" ? turn(this.state.weight) : this.state.weight;
  }

  /** Sizes of one axis (0 rows, 1 columns). */
  axis(k) {
    const { x, weight } = this.state;
    const length = (matrix) => (k ? matrix[0].length : matrix.length);
    const size = length(x);
    const kernel = length(weight);
    const windows = outputSize(size, kernel, this.state);
    const rest = windows && leftover(size, kernel, this.state);
    const skipped = unread(size, kernel, this.state, windows);
    return { words: [k ? "column" : "row"], size, kernel, windows, rest, skipped };
  }

  /** What there is to say about the axes: about both at once where they are alike. */
  get distinct() {
    const [rows, columns] = this.axes;
    return rows.size === columns.size && rows.kernel === columns.kernel
      ? [{ ...rows, words: ["row", "column"] }]
      : this.axes;
  }

  render() {
    const { x, weight, padding, mode } = this.state;
    this.axes = [this.axis(0), this.axis(1)];
    this.result = this.axes.every((axis) => axis.windows) ? correlate2d(x, this.kernel, this.state) : null;
    const place = (i, j) => `row ${i + 1}, column ${j + 1}`;
    this.grids.x.fill(x, padding, place);
    this.grids.weight.fill(weight, 0, place);
    this.grids.turned.fill(turn(weight), 0, place);
    if (this.result) this.grids.y.fill(this.result, 0, place);
    this.active = this.result
      ? [Math.min(this.active[0], this.axes[0].windows - 1), Math.min(this.active[1], this.axes[1].windows - 1)]
      : [0, 0];
    this.find(".turned").hidden = mode !== "convolution";
    this.find("[data-grid=y]").hidden = !this.result;
    const pair = this.grids.x.cells[0].length + (this.result?.[0].length ?? 0);
    this.find(".figures").style.setProperty("--pair", pair); // columns of input and output, which share the width
    this.renderLabels();
    this.renderControls();
    this.renderNotes();
    this.renderWindow();
  }

  renderLabels() {
    const { x, weight, padding, mode } = this.state;
    const padded = padding ? `, padded to ${x.length + 2 * padding} × ${x[0].length + 2 * padding}` : "";
    const sizes = { x: sizeOf(x) + padded, weight: sizeOf(weight), y: this.result ? sizeOf(this.result) : "none" };
    for (const [key, name] of Object.entries({ x: "Input", weight: "Kernel", y: "Output" })) {
      this.find(`figure.${key} .size`).textContent = sizes[key];
      this.grids[key].root.setAttribute("aria-label", `${name}, ${sizes[key]}`);
    }
    const skipped = this.result
      ? this.distinct.filter((axis) => axis.skipped.length).map((axis) => lines(axis.skipped, axis, padding))
      : [];
    this.find("figure.x .caption").textContent = [
      ...(padding ? ["dashed: zeros of the padding"] : []),
      ...(skipped.length ? [`hatched: never read (${skipped.join("; ")})`] : []),
    ].join(" · ");
    this.find("figure.weight .caption").textContent = mode === "convolution" ? "Turned by 180°, this slides:" : "";
    this.find("figure.y .caption").textContent = this.result ? "" : MISFIT;
  }

  renderControls() {
    for (const [name, values] of Object.entries(CHOICES)) {
      for (const value of values)
        this.find(`input[name=${name}][value="${value}"]`).checked = value === this.state[name];
    }
    for (const [key, presets] of Object.entries(PRESETS)) {
      const current = Object.keys(presets).find((name) => same(presets[name], this.state[key])) ?? "Own";
      const names = Object.keys(presets).concat(current === "Own" ? current : []);
      this.fillSelect(`[data-preset=${key}]`, names, current);
      const sizes = Array.from({ length: LARGEST[key] }, (_, k) => `${k + 1} × ${k + 1}`);
      const own = sizeOf(this.state[key]);
      this.fillSelect(`[data-size=${key}]`, sizes.includes(own) ? sizes : [own, ...sizes], own);
    }
    this.renderPlayer();
  }

  fillSelect(selector, options, current) {
    const select = this.find(selector);
    const shown = [...select.options].map((option) => option.value);
    if (!same(options, shown)) select.replaceChildren(...options.map((name) => new Option(name)));
    select.value = current;
  }

  renderPlayer() {
    const labels = {
      back: ["Step back", ICONS.back],
      play: this.timer ? ["Pause", ICONS.pause] : ["Play", ICONS.play],
      next: ["Step", ICONS.next],
    };
    for (const [action, [label, path]] of Object.entries(labels)) {
      const button = this.find(`[data-action=${action}]`);
      button.innerHTML = icon(path);
      button.setAttribute("aria-label", label);
      button.title = label;
      button.disabled = !this.result;
    }
  }

  renderNotes() {
    const { distinct, state } = this;
    const label = ({ words }) => list(words.map((word) => `${word}s`));
    this.find(".axes").replaceChildren(
      ...distinct.map((axis) => element("p", {}, element("b", {}, label(axis)), ` ${sizeFormula(axis, state)}`)),
    );
    const fits = distinct.map((axis) => fitNote(axis, state));
    const gaps = distinct.map((axis) => gapNote(axis, state));
    const edge = fits.some(Boolean) ? "" : "The last window ends exactly at the edge: nothing is left over.";
    const remarks = this.result ? [...fits, edge, ...gaps, modeNote(state)] : fits;
    this.find(".notes ul").replaceChildren(...remarks.filter(Boolean).map((text) => element("li", {}, text)));
    this.grids.x.cells.forEach((row, r) =>
      row.forEach((cell, c) => {
        const skipped = this.axes[0].skipped.includes(r) || this.axes[1].skipped.includes(c);
        cell.classList.toggle("unread", Boolean(this.result) && skipped);
      }),
    );
  }

  /** Show the window of the active output cell, and its sum. */
  renderWindow() {
    for (const old of this.root.querySelectorAll(".tap, .active")) {
      old.classList.remove("tap", "active");
      old.querySelector(".times")?.remove();
      delete old.dataset.tap;
    }
    this.find(".sum").hidden = this.find(".count").hidden = this.grids.x.frame.hidden = !this.result;
    if (!this.result) return;
    const [row, column] = this.active;
    const { x, stride, dilation } = this.state;
    const kernel = this.kernel;
    const terms = taps(x, kernel, row, column, this.state);
    const width = kernel[0].length;
    terms.forEach((term, k) => {
      const cell = this.grids.x.cell(term.r, term.c);
      cell.classList.add("tap");
      cell.dataset.tap = k;
      cell.append(element("span", { class: "times", "aria-hidden": "true" }, `×${short(term.w).replace("0.", ".")}`));
      const sliding = this.state.mode === "convolution" ? this.grids.turned : this.grids.weight;
      const source = sliding.cell(Math.floor(k / width), k % width);
      source.dataset.tap = k;
      source.classList.add("tap");
    });
    this.grids.x.outline(row * stride, column * stride, dilation * (kernel.length - 1) + 1, dilation * (width - 1) + 1);
    this.grids.y.cell(row, column).classList.add("active");
    this.grids.y.stop(row, column);
    this.renderSum(terms, width);
  }

  /** The sum, its terms arranged as the kernel is. */
  renderSum(terms, width) {
    const [row, column] = this.active;
    const total = this.result[row][column];
    const columns = this.result[0].length;
    this.find(".count").textContent = `${row * columns + column + 1} of ${this.result.length * columns}`;
    this.find(".where").textContent = `Output, row ${row + 1}, column ${column + 1}`;
    const exact = [total, ...terms.flatMap((t) => [t.value, t.w])].every((value) => value === round(value, 4));
    const nodes = terms.map((t, k) => {
      const term = element("span", { class: t.value * t.w ? "term" : "term zero", "data-tap": k }, k ? " + " : "");
      term.append(
        element("span", { class: t.padded ? "value padded" : "value" }, factor(t.value)),
        "·",
        element("span", { class: "weight" }, factor(t.w)),
      );
      return term;
    });
    const box = this.find(".terms");
    box.style.setProperty("--columns", width);
    box.replaceChildren(
      ...nodes,
      element("span", { class: "total" }, exact ? " = " : " ≈ ", element("b", {}, number(total))),
    );
    if (box.scrollWidth > box.clientWidth) box.setAttribute("tabindex", 0); // what scrolls must be within reach of keys
    else box.removeAttribute("tabindex");
  }

  /** Tell a screen reader about the active cell, once the reader rests. */
  speak() {
    if (!this.result) return;
    const [row, column] = this.active;
    this.say(spoken(row, column, taps(this.state.x, this.kernel, row, column, this.state), this.result[row][column]));
  }

  say(text) {
    clearTimeout(this.speech);
    this.speech = setTimeout(() => {
      this.find(".live").textContent = text;
    }, 200);
  }

  /** Pick out one tap in the input, the kernel and the sum. */
  mark(tap) {
    for (const node of this.root.querySelectorAll("[data-tap]")) node.classList.toggle("hot", node.dataset.tap === tap);
  }
}

// ------------------------------------------------------------------------------------------------------------ style

const STYLE = `
:host { display: block; container-type: inline-size; color-scheme: light; text-align: start;
  --ink: #1d2530; --muted: #566170; --paper: #fff; --card: #f8f9fb; --line: #d5dae1; --edge: #808b99;
  --input: #0b58a8; --kernel: #8f4300; --output: #0a6350; --negative: #b3246b; --hot: #ffe9a8; }
:host([data-theme=dark]) { color-scheme: dark;
  --ink: #e9edf2; --muted: #a9b4c2; --paper: #1d232b; --card: #14191f; --line: #343d49; --edge: #7b8796;
  --input: #86bfff; --kernel: #ffb877; --output: #6ad9bc; --negative: #ff8fc0; --hot: #5b4a12; }
* { box-sizing: border-box; }
p, figure, ul, fieldset { margin: 0; padding: 0; border: 0; }
[hidden] { display: none !important; }
.card { color: var(--ink); background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem;
  font: 400 .9375rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
.strip { display: flex; flex-wrap: wrap; gap: .6rem 1.25rem; }
fieldset { min-width: 0; }
legend { padding: 0; font-size: .8125rem; color: var(--muted); }
fieldset > div { display: inline-flex; border: 1px solid var(--edge); border-radius: 6px; background: var(--paper); }
fieldset label { position: relative; cursor: pointer; }
fieldset input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
fieldset span { display: block; min-width: 1.9rem; padding: .2rem .55rem; text-align: center; font-size: .875rem;
  border-radius: 5px; }
fieldset span::first-letter { text-transform: capitalize; }
input:checked + span { background: var(--ink); color: var(--card); font-weight: 600; }
.figures { display: flex; flex-wrap: wrap; gap: 1.1rem 1.25rem; margin-top: 1.1rem; }
figure { display: flex; flex-direction: column; min-width: 8.4rem; max-width: 100%; }
figcaption { line-height: 1.3; }
figcaption b { font-weight: 650; }
.x b, .terms .value { color: var(--input); }
.weight b, .terms .weight, .times { color: var(--kernel); }
.y b, .total b { color: var(--output); }
.size, .caption, .hint, .count, .formula { color: var(--muted); font-size: .8125rem; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: .35rem; margin: .35rem 0 .6rem;
  min-height: 1.9rem; }
select, button { font: inherit; font-size: .8125rem; color: var(--ink); background: var(--paper);
  border: 1px solid var(--edge); border-radius: 6px; height: 1.9rem; }
select { padding: 0 .1rem; }
button { width: 1.9rem; padding: 0; cursor: pointer; }
button:disabled { opacity: .5; cursor: default; }
svg { width: 14px; height: 14px; vertical-align: -2px; fill: currentColor; }
.count { margin-inline-start: .3rem; white-space: nowrap; }
.scroll { overflow-x: auto; padding: 3px; margin: -3px; }
.turned { margin-top: .3rem; }
[role=grid] { --cell: clamp(1.625rem, calc((100cqi - 2.6rem) / var(--columns) - 2px), 2.3rem); position: relative;
  display: grid; gap: 2px; grid: auto-flow var(--cell) / repeat(var(--columns), var(--cell)); width: max-content; }
[role=row] { display: contents; }
[role=gridcell] { --tint: 0; position: relative; display: grid; place-items: center; line-height: 1; user-select: none;
  border: 1px solid var(--line); border-radius: 4px; color: var(--ink);
  font-size: min(.8125rem, calc((var(--cell) - 4px) / max(var(--length, 1), 1) / .62));
  background: color-mix(in srgb, var(--ink) calc(var(--tint) * 22%), var(--paper)); }
[data-sign="-1"] { background: color-mix(in srgb, var(--negative) calc(var(--tint) * 22%), var(--paper)); }
[data-at] { cursor: pointer; }
.rim { border: 1px dashed var(--edge); color: var(--muted); background: none; }
.unread { background-image: repeating-linear-gradient(-45deg, transparent 0 4px, var(--edge) 4px 5px); }
.unread .value { background: var(--paper); padding: 1px 2px; border-radius: 3px; }
.tap { border: 1px solid var(--input); }
figure.weight .tap { border-color: var(--kernel); }
.tap .value { transform: translateY(-.3em); }
figure.weight .tap .value { transform: none; }
.times { position: absolute; bottom: 2px; inset-inline: 0; text-align: center; font-size: .5625rem; font-weight: 600; }
.frame { position: absolute; inset: -3px; border: 2px solid var(--input); border-radius: 7px; pointer-events: none; }
.active { border: 2px solid var(--output); font-weight: 700; }
.hot { background: var(--hot); }
.term.hot { border-radius: 3px; box-shadow: 0 0 0 2px var(--hot); }
[role=gridcell] input { position: absolute; inset: 0; width: 100%; min-width: 2.75rem; z-index: 2; padding: 0 .15rem;
  border: 0; border-radius: 4px; text-align: center; font: inherit; font-size: 1rem; color: var(--ink);
  background: var(--paper); }
:focus-visible, fieldset input:focus-visible + span { outline: 3px solid var(--input); outline-offset: 2px;
  z-index: 1; }
.y [role=gridcell]:focus-visible { outline-color: var(--output); }
.caption { margin-top: .35rem; max-width: 20rem; line-height: 1.35; }
.caption:empty { display: none; }
.sum, .notes { margin-top: .6rem; padding-top: .7rem; border-top: 1px solid var(--line); }
.where { font-weight: 600; color: var(--output); }
.terms { display: grid; grid-template-columns: repeat(var(--columns), max-content); gap: .15rem .1rem; padding: 2px;
  overflow-x: auto; }
.term { text-align: end; white-space: pre; }
.term.zero, .term.zero * { color: var(--muted); }
.padded { text-decoration: underline dotted; text-underline-offset: 3px; }
.total { grid-column: 1 / -1; white-space: pre; font-size: 1.0625rem; margin-inline-start: -.35rem; }
.axes { font-size: .875rem; }
.axes b { display: inline-block; margin-inline-end: .5rem; font-weight: 600; }
.axes b::first-letter { text-transform: capitalize; }
.notes ul { margin-top: .4rem; padding-inline-start: 1.1rem; font-size: .875rem; }
.hint { margin-top: .7rem; }
.live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@container (min-width: 38rem) {
  .figures [role=grid] { --cell: clamp(1.8rem, calc((100cqi - 15.5rem) / var(--pair) - 2px), 2.3rem); }
}
@container (max-width: 30rem) {
  .card { padding: .75rem; }
  .strip { gap: .5rem .75rem; }
  fieldset span { min-width: 1.7rem; padding: .2rem .35rem; font-size: .8125rem; }
  .axes b { display: block; }
  figure.weight { display: grid; grid: auto auto / minmax(0, max-content) auto; gap: 0 .75rem; justify-content: start;
    width: 100%; }
  figure.weight [role=grid] { --cell: clamp(1.5rem, calc((100cqi - 10.5rem) / var(--columns) - 2px), 2.3rem); }
  figure.weight figcaption, figure.weight .caption { grid-column: 1 / -1; }
  figure.weight .scroll { grid-column: 1; margin-top: .35rem; }
  figure.weight .controls { grid-area: 2 / 2; flex-direction: column; align-items: stretch; }
  .dense .times { display: none; }
  .dense .tap .value { transform: none; }
}
@media print { .controls, .hint { display: none; } }
`;

// --------------------------------------------------------------------------------------------------------- adapters

/**
 * Draw an explorer in `el`. `props` are any of x, weight, stride, padding, dilation, mode, and `onchange(changed)`,
 * called with the properties that the reader changed.
 */
export function mount(el, props = {}) {
  const explorer = new Explorer(el, props);
  return { update: (changed) => explorer.update(changed), destroy: () => explorer.destroy() };
}

/** anywidget: the properties are the traits of the Python object. */
function render({ model, el }) {
  const props = Object.fromEntries(PROPS.map((name) => [name, model.get(name)]));
  const onchange = (changed) => {
    for (const [name, value] of Object.entries(changed)) model.set(name, value);
    model.save_changes();
  };
  const handle = mount(el, { ...props, onchange });
  const listeners = PROPS.map((name) => [`change:${name}`, () => handle.update({ [name]: model.get(name) })]);
  for (const [event, listener] of listeners) model.on(event, listener);
  return () => {
    for (const [event, listener] of listeners) model.off(event, listener);
    handle.destroy();
  };
}

export default { render };

if (globalThis.customElements && !customElements.get("cnn-convolution-explorer")) {
  customElements.define(
    "cnn-convolution-explorer",
    class extends HTMLElement {
      static observedAttributes = ["props"];

      get props() {
        return JSON.parse(this.getAttribute("props") || "{}");
      }

      connectedCallback() {
        this.style.display = "block";
        this.handle = mount(this, this.props);
      }

      disconnectedCallback() {
        this.handle.destroy();
        this.handle = undefined;
      }

      attributeChangedCallback() {
        this.handle?.update(this.props);
      }
    },
  );
}
