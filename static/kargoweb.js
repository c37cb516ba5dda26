// What HTML and HTMX don't provide: copying, keyboard shortcuts, the theme, relative times. Pages work without it.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The same words as `ago` in receivers/web/durations.py
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const ago = (seconds) => {
    const size = Math.abs(seconds);
    if (size < 1) return "now";
    const [unit, name] = UNITS.find(([unit]) => size >= unit);
    const text = `${Math.floor(size / unit)} ${name}`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  };
  const updateTimes = (within) => all("time[data-relative]", within).forEach((time) => {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  });
  setInterval(() => document.hidden || updateTimes(), 1000);

  // The reader's zone, for the server; and the same words as receivers/web/local_times.py, until the server knows it.
  const secure = location.protocol === "https:" ? ";secure" : "";
  document.cookie = `zone=${Intl.DateTimeFormat().resolvedOptions().timeZone};path=/;max-age=31536000;samesite=lax${secure}`;
  const formatted = (options) => new Intl.DateTimeFormat("en-US", { hourCycle: "h23", ...options });
  const clock = { hour: "2-digit", minute: "2-digit" }, precise = { ...clock, second: "2-digit" }, day = { month: "long", day: "numeric" };
  const FORMS = {
    minutes: formatted(clock), seconds: formatted(precise), exact: formatted({ ...precise, fractionalSecondDigits: 3 }),
    date: formatted({ ...day, ...clock }),
  };
  const FULL = formatted({ weekday: "long", ...day, year: "numeric", ...precise });
  const offset = (at) => {
    const minutes = -at.getTimezoneOffset(), size = Math.abs(minutes), rest = size % 60;
    return minutes ? `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest ? `:${rest}` : ""}` : "UTC";
  };
  const localize = (within) => all("time[data-local], time[data-relative]", within).forEach((time) => {
    const at = new Date(time.dateTime), { weekday, month, day, year, hour, minute, second } = Object.fromEntries(FULL.formatToParts(at).map(({ type, value }) => [type, value]));
    time.title = `${weekday}, ${month} ${day}, ${year}, ${hour}:${minute}:${second} ${offset(at)}`;
    const form = FORMS[time.dataset.local];
    if (form) time.textContent = form.format(at).replace(" at ", ", ");
  });
  localize();

  // Controls that need a script are hidden without one.
  const show = (within) => all("[data-copy], [data-help], [data-pause]", within).forEach((one) => { one.hidden = false; });
  show();
  document.addEventListener("htmx:load", ({ target }) => { show(target.parentElement ?? target); updateTimes(target); localize(target); });
  document.addEventListener("kargoweb:updated", ({ target }) => { show(target); updateTimes(target); localize(target); });
  // Polling stops while the page is in a background tab.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && (event.target.getAttribute("hx-trigger") ?? "").startsWith("every")) event.preventDefault();
  });
  // A page that can't be updated says so, until it can.
  const note = (isStale) => ({ detail }) => {
    const polls = (detail.elt?.getAttribute("hx-trigger") ?? "").startsWith("every");
    if (polls) document.getElementById("stale").hidden = !isStale;
  };
  for (const lost of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(lost, note(true));
  document.addEventListener("htmx:afterOnLoad", ({ detail }) => { if (detail.xhr.status < 400) note(false)({ detail }); });
  // A list doesn't move while it is being read: its rows change in place, and new rows are only counted.
  const isBeingRead = (list) => document.querySelector("[data-pause][aria-pressed=true]") || list.getBoundingClientRect().top < 0 || list.matches(":hover, :focus-within");
  document.addEventListener("htmx:beforeSwap", ({ target: list, detail }) => {
    const link = document.querySelector("[data-fresh]");
    if (!link || !["pushes", "deliveries"].includes(list.id) || detail.xhr.status !== 200) return;
    const rows = all("tbody tr[id]", new DOMParser().parseFromString(detail.serverResponse, "text/html"));
    const fresh = rows.filter(({ id }) => !document.getElementById(id)).length;
    detail.shouldSwap = detail.requestConfig.elt === link || !isBeingRead(list);
    link.hidden = detail.shouldSwap || !fresh;
    link.textContent = `Show ${fresh} new`;
    if (!detail.shouldSwap) rows.forEach((row) => document.querySelector(`[id="${row.id}"]:not(:focus-within, .current)`)?.replaceWith(row));
  });
  // Findings stay selected and sections stay unfolded when their list is replaced.
  let selected = [], folds = {};
  document.addEventListener("htmx:beforeSwap", ({ target }) => {
    selected = all("[name=key]:checked", target).map(({ value }) => value);
    folds = Object.fromEntries(all("details[id]", target).map(({ id, open }) => [id, open]));
  });
  document.addEventListener("htmx:afterSwap", ({ target }) => {
    all("[name=key]", target).filter(({ value }) => selected.includes(value)).forEach((box) => { box.checked = true; });
    all("details[id]", target).filter(({ id }) => id in folds).forEach((fold) => { fold.open = folds[fold.id]; });
  });
  const copy = async (button) => {
    const label = button.querySelector("span"), original = (label.dataset.original ??= label.textContent);
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      label.textContent = "Copied";
    } catch {
      label.textContent = "Select and copy";
    }
    setTimeout(() => { label.textContent = original; }, 2000);
  };
  const choose = ({ name, value }) => {
    root.dataset[name] = value;
    document.cookie = `${name}=${value};path=/;max-age=31536000;samesite=lax${secure}`;
  };
  const help = () => document.getElementById("help")?.showModal();
  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest(selector);
    if (on("[data-copy]")) copy(on("[data-copy]"));
    if (on("[data-help]")) help();
    on("[data-pause]")?.setAttribute("aria-pressed", on("[data-pause]").ariaPressed !== "true");
    if (on(".pick button")) {
      event.preventDefault();
      choose(on(".pick button"));
    }
    all("details.menu[open]").filter((menu) => !menu.contains(event.target)).forEach((menu) => { menu.open = false; });
  });

  // The id of the current row, which finds it again after a list has been replaced. Its link then gets the focus back.
  let current = "", focused = false;
  const move = (step) => {
    const rows = all(".rows tbody tr:not(.day)");
    const at = rows.findIndex((row) => row.classList.contains("current"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
    if (!next) return;
    rows[at]?.classList.remove("current");
    next.classList.add("current");
    current = next.id;
    next.scrollIntoView({ block: "nearest" });
    next.querySelector("a")?.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:beforeSwap", () => { focused = !!document.querySelector("tr.current:focus-within"); });
  const restore = () => {
    const row = current && document.getElementById(current);
    if (!row) return;
    row.classList.add("current");
    if (focused && document.activeElement === document.body) row.querySelector("a")?.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:afterSettle", restore);
  document.addEventListener("kargoweb:updated", restore);
  const keys = {
    j: () => move(1),
    k: () => move(-1),
    "?": help,
    "/": () => document.getElementById("q")?.focus(),
    Enter: () => document.querySelector("tr.current a")?.click(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") all("details.menu[open]").forEach((menu) => { menu.open = false; menu.querySelector("summary").focus(); });
    const busy = event.target.closest("input, textarea, select, dialog[open]") || event.ctrlKey || event.metaKey || event.altKey;
    if (busy || !keys[event.key] || (event.key === "Enter" && event.target.closest("a, button, summary"))) return;
    event.preventDefault();
    keys[event.key]();
  });
})();
