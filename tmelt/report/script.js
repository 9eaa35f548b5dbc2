"use strict";
// Tooltips over the figures' marks, links into folded sections, and the filter of trials. Text is only ever set as text
// or cloned from nodes of this page; nothing is parsed as HTML.
(() => {
  const tip = document.getElementById("tip");

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const targetOf = (mark) => {
    const link = mark.closest("a");
    const href = link && link.getAttribute("href");
    return href && href.startsWith("#trial-") ? document.getElementById(href.slice(1)) : null;
  };
  // A big study's page does not hold every trial: what leads nowhere is no link.
  for (const link of document.querySelectorAll('svg.chart a[href^="#trial-"]')) {
    if (!document.getElementById(link.getAttribute("href").slice(1))) link.removeAttribute("href");
  }
  const fill = (mark) => {
    tip.replaceChildren(element("b", mark.getAttribute("aria-label")));
    const trial = targetOf(mark);
    if (!trial) return;
    const why = trial.querySelector(".why");
    if (why) tip.append(element("p", why.textContent));
    const changes = trial.querySelectorAll(".changes > li");
    if (changes.length) {
      const list = document.createElement("ul");
      list.className = "changes";
      for (const change of [...changes].slice(0, 5)) list.append(change.cloneNode(true));
      if (changes.length > 5) list.append(element("li", `and ${changes.length - 5} more`));
      tip.append(list);
    }
    const lines = [...trial.querySelectorAll(".diff .line.added, .diff .line.removed")];
    if (lines.length) {
      const code = document.createElement("pre");
      code.className = "diff code";
      for (const line of lines.slice(0, 9)) code.append(line.cloneNode(true));
      if (lines.length > 9) code.append(element("span", `… ${lines.length - 9} more lines`, "line"));
      tip.append(code);
    }
    const curve = trial.querySelector(".curve");
    if (curve) tip.append(curve.cloneNode(true));
    tip.append(element("p", "Click for the whole trial.", "small"));
  };
  const place = (event) => {
    const gap = 14, box = tip.getBoundingClientRect();
    let x = event.clientX + gap, y = event.clientY + gap;
    if (x + box.width > innerWidth - 8) x = Math.max(8, event.clientX - box.width - gap);
    if (y + box.height > innerHeight - 8) y = Math.max(8, innerHeight - box.height - 8);
    tip.style.left = `${x}px`;
    tip.style.top = `${y}px`;
  };
  const markAt = (event) => {
    const node = event.target;
    return node.closest && node.closest("svg.chart") && node.closest('[class*="role-mark"] path[aria-label], [class*="role-mark"] line[aria-label]');
  };
  document.addEventListener("pointerover", (event) => {
    const mark = event.pointerType === "touch" ? null : markAt(event);
    tip.hidden = !mark;
    if (mark) { fill(mark); place(event); }
  });
  document.addEventListener("pointermove", (event) => { if (!tip.hidden) place(event); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    target.scrollIntoView({ block: "start" });
  };
  addEventListener("hashchange", open);
  open();

  const filter = document.querySelector(".filter");
  if (filter) {
    filter.hidden = false;
    filter.addEventListener("click", (event) => {
      const chosen = event.target.closest("button");
      if (!chosen) return;
      for (const button of filter.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button === chosen));
      const kind = chosen.dataset.show;
      for (const trial of document.querySelectorAll("details.trial")) trial.hidden = kind !== "all" && !trial.classList.contains(kind);
      for (const search of document.querySelectorAll("details.search")) search.open = kind !== "all";
    });
  }
})();
