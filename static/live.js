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
  // What tells siblings apart: an id, for sections the heading that names them, for other elements what they are.
  const keyOf = (node) => node.id || node.getAttribute?.("aria-labelledby") || "";
  const isAlike = (from, to) => from.nodeName === to.nodeName && keyOf(from) === keyOf(to) && (keyOf(from) || from.classList?.[0] === to.classList?.[0]);

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
    const keyed = (parent) => new Map([...parent.children].filter(keyOf).map((child) => [keyOf(child), child]));
    const known = keyed(from), later = keyed(to);
    let next = from.firstChild;
    for (const wanted of [...to.childNodes]) {
      const key = keyOf(wanted);
      let match = key ? known.get(key) : next;
      // Nodes with a key wait for their own turn, and nothing overtakes them.
      while (!key && match && !isAlike(match, wanted)) match = later.has(keyOf(match)) ? null : match.nextSibling;
      if (!match || !isAlike(match, wanted)) {
        from.insertBefore(wanted, next);
        continue;
      }
      if (match.parentNode !== from) from.insertBefore(match, next);
      else {
        // A node that moves loses the focus, so this one stays, and what is before it goes. If it is wanted later, it
        // comes back then.
        while (next !== match) {
          const gone = next;
          next = next.nextSibling;
          gone.remove();
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
