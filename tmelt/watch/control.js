"use strict";
// Each form sends the whole of its search's guidance file, and the hash of the file that it shows.
const numbers = (text) => text.split(/[\s,;]+/).filter(Boolean).map(Number);
for (const form of document.querySelectorAll("form[data-search]")) {
  const said = form.querySelector("output");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const pause = form.elements.pause_before.value;
    const orders = {
      guidance: form.elements.guidance ? form.elements.guidance.value : "",
      veto: numbers(form.elements.veto.value),
      pause_before: pause === "" ? null : Number(pause),
    };
    said.className = "";
    said.textContent = "Saving…";
    try {
      const answer = await fetch(location.href, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ search: form.dataset.search, seen: form.dataset.seen, orders }),
      });
      const text = await answer.text();
      if (!answer.ok) throw new Error(text.trim());
      const saved = JSON.parse(text);
      form.dataset.seen = saved.seen;
      said.textContent = saved.said;
    } catch (error) {
      said.className = "lost";
      said.textContent = `Not saved: ${error.message}`;
    }
  });
}
