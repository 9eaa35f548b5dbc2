"use strict";
// Every few seconds the page is asked for again and its content exchanged; scrolled tables keep their place.
const EVERY_MS = 4000;
async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const places = [...document.querySelectorAll(".scroll")].map((box) => [box.scrollLeft, box.scrollTop]);
    document.querySelector("main").replaceWith(fresh.querySelector("main"));
    document.querySelectorAll(".scroll").forEach((box, n) => {
      if (places[n]) [box.scrollLeft, box.scrollTop] = places[n];
    });
    document.title = fresh.title;
  } catch (error) {
    const link = document.getElementById("link");
    link.textContent = "connection lost: is tmelt watch running?";
    link.className = "lost";
  }
  setTimeout(refresh, EVERY_MS);
}
setTimeout(refresh, EVERY_MS);
