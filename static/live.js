// Updates live regions in place. What did not change stays the same node, so focus, selected text, unfolded sections,
// what was typed, and the place that is being read stay, too.
"use strict";
(() => {
  // The state of these belongs to the reader, and `hidden` to the script that shows controls.
  const kept = (element, name) => (name === "open" && element.nodeName === "DETAILS") || (name === "hidden" && element.matches("[data-copy], [data-help], [data-pause]"));

  const morphAttributes = (from, to) => {
    for (const { name } of [...from.attributes]) if (!to.hasAttribute(name) && !kept(from, name)) from.removeAttribute(name);
    for (const { name, value } of to.attributes) if (from.getAttribute(name) !== value && !kept(from, name)) from.setAttribute(name, value);
  };
  const isAlike = (from, to) => from.nodeType === to.nodeType && from.nodeName === to.nodeName && (from.id ?? "") === (to.id ?? "");

  const morph = (from, to) => {
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    if (from.matches("[data-keep]") || (from === document.activeElement && from.matches("input, textarea, select"))) return;
    morphAttributes(from, to);
    if (from.nodeName === "INPUT" && from.type === "hidden") from.value = to.value;
    // The words of a relative time are the browser's.
    if (!from.matches("time[data-relative]")) morphChildren(from, to);
  };

  const morphChildren = (from, to) => {
    const named = new Map([...from.children].filter(({ id }) => id).map((child) => [child.id, child]));
    let next = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      let match = wanted.id ? named.get(wanted.id) : next;
      // Nodes with an id wait for their own turn.
      while (!wanted.id && match && !isAlike(match, wanted)) match = match.nextSibling;
      if (!match || !isAlike(match, wanted)) {
        from.insertBefore(wanted, next);
        continue;
      }
      if (match === next) next = next.nextSibling;
      else if (wanted.id) from.insertBefore(match, next);
      else {
        while (next !== match) {
          const gone = next;
          next = next.nextSibling;
          if (!gone.id || !to.querySelector(`[id="${gone.id}"]`)) gone.remove();
        }
        next = match.nextSibling;
      }
      morph(match, wanted);
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  };

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target: region, detail } = event;
    // Lists have rules of their own, and after the last update (286) HTMX has to stop polling itself.
    if (!region.matches(".live-part:not(#pushes, #deliveries)") || detail.xhr.status !== 200 || detail.requestConfig.elt !== region) return;
    const template = document.createElement("template");
    template.innerHTML = detail.serverResponse;
    detail.shouldSwap = false;
    morphChildren(region, template.content);
    htmx.process(region);
    region.dispatchEvent(new CustomEvent("kargoweb:updated", { bubbles: true }));
  });
})();
