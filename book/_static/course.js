// What this site does beyond its theme: interactives load when they come near, boxes that scroll can be reached by
// keyboard, code can be copied, hints print open.
(() => {
  const SCROLLERS = "div.math, .bd-article table, .output.text_plain, .output.text_html, div.highlight pre";

  function makeFocusableWhereItScrolls(box) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }

  // Boxes are measured when they come near: to measure them all at once would lay out the whole chapter.
  const near = new IntersectionObserver(
    (entries) => entries.forEach((entry) => { if (entry.isIntersecting) makeFocusableWhereItScrolls(entry.target); }),
    { rootMargin: "100%" },
  );

  let width = innerWidth;
  function measureAgain() {
    if (innerWidth === width) return;
    width = innerWidth;
    document.querySelectorAll(SCROLLERS).forEach(makeFocusableWhereItScrolls);
  }

  // <cnn-convolution-explorer> is defined by _static/widgets/convolution_explorer.js.
  function loadWidget(element) {
    const name = element.localName.slice("cnn-".length).replaceAll("-", "_");
    const root = document.documentElement.dataset.content_root;
    import(new URL(`${root}_static/widgets/${name}.js`, location.href));
  }

  const nearWidgets = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach(({ target }) => {
      nearWidgets.unobserve(target);
      loadWidget(target);
    }),
    { rootMargin: "150px" },
  );

  function observeWidgets() {
    for (const element of document.querySelectorAll("main *")) {
      if (element.localName.startsWith("cnn-")) nearWidgets.observe(element);
    }
  }

  async function copy(button, block) {
    await navigator.clipboard.writeText(block.querySelector("pre").innerText);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function addCopyButtons() {
    for (const block of document.querySelectorAll("div.cell_input div.highlight")) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "Copy";
      button.addEventListener("click", () => copy(button, block));
      block.append(button);
    }
  }

  // Paper is white, and hints on it cannot be opened.
  const root = document.documentElement.dataset;
  let closed = [];
  let theme;
  addEventListener("beforeprint", () => {
    theme = root.theme;
    root.theme = "light";
    closed = [...document.querySelectorAll(".bd-article details:not([open])")];
    for (const details of closed) details.open = true;
  });
  addEventListener("afterprint", () => {
    root.theme = theme;
    for (const details of closed) details.open = false;
  });

  addEventListener("load", () => document.querySelectorAll(SCROLLERS).forEach((box) => near.observe(box)));
  addEventListener("resize", measureAgain);
  document.addEventListener("DOMContentLoaded", observeWidgets);
  document.addEventListener("DOMContentLoaded", () => (window.requestIdleCallback ?? setTimeout)(addCopyButtons));
})();
