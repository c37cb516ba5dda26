// The panel of results below the search field: it opens while one types, and arrow keys move through it.
"use strict";
(() => {
  const field = document.getElementById("q"), panel = document.getElementById("found");
  if (!field || !panel) return;
  const hits = () => [...panel.querySelectorAll("a")];
  const close = () => { panel.hidden = true; };
  let shown = ""; // the text whose results the panel has

  panel.addEventListener("htmx:beforeSwap", ({ detail }) => { shown = new URL(detail.xhr.responseURL).searchParams.get("q") ?? ""; });
  panel.addEventListener("htmx:afterSwap", () => { panel.hidden = !field.value.trim() || !field.closest("form").contains(document.activeElement); });
  field.addEventListener("focus", () => { panel.hidden = !field.value.trim() || !panel.children.length; });
  field.addEventListener("input", () => { if (!field.value.trim()) close(); });
  // Enter opens the best hit. If the results of what was typed are still on their way, the server looks for it.
  field.form.addEventListener("submit", (event) => {
    const best = panel.querySelector(".best");
    if (best && shown === field.value) {
      event.preventDefault();
      best.click();
    }
  });
  field.form.addEventListener("keydown", (event) => {
    const all = hits(), at = all.indexOf(document.activeElement);
    if (event.key === "Escape" && !panel.hidden) {
      event.preventDefault();
      close();
      field.focus();
      close();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && !panel.hidden && all.length) {
      event.preventDefault();
      const next = at + (event.key === "ArrowDown" ? 1 : -1);
      (all[next] ?? field).focus();
    }
  });
  field.form.addEventListener("focusout", ({ relatedTarget }) => { if (!field.form.contains(relatedTarget)) close(); });
})();
