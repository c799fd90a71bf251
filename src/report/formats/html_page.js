"use strict";
(() => {
  const root = document.documentElement;
  const hops = Array.from(document.querySelectorAll(".hop"));
  const links = new Map();
  for (const link of document.querySelectorAll(".rail a")) links.set(link.hash, link);

  // Light and dark: follows the system until the button is used.
  const toggle = document.getElementById("theme");
  if (toggle) {
    toggle.hidden = false;
    toggle.addEventListener("click", () => {
      const dark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
    });
  }

  // A picture that is too wide begins with its interesting end.
  for (const figure of document.querySelectorAll(".figure")) figure.scrollLeft = figure.scrollWidth;

  // The hop that is being read, marked in the list.
  let here = -1;
  const mark = (index) => {
    if (index === here) return;
    if (hops[here]) links.get("#" + hops[here].id)?.classList.remove("here");
    here = index;
    if (hops[here]) links.get("#" + hops[here].id)?.classList.add("here");
  };
  const locate = () => {
    let index = -1;
    hops.forEach((hop, i) => {
      if (hop.getBoundingClientRect().top < innerHeight * 0.4) index = i;
    });
    mark(index);
  };
  let pending = false;
  addEventListener("scroll", () => {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      locate();
    });
  }, { passive: true });

  const go = (index) => {
    const hop = hops[Math.min(Math.max(index, 0), hops.length - 1)];
    if (!hop) return;
    hop.focus({ preventScroll: true });
    hop.scrollIntoView({ block: "start" });
    mark(hops.indexOf(hop));
  };
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const focused = hops.findIndex((hop) => hop.contains(document.activeElement));
    const at = focused >= 0 ? focused : here;
    if (event.key === "j") go(at + 1);
    else if (event.key === "k") go(at - 1);
    else if (event.key === "t") scrollTo(0, 0);
    else if (event.key === "o") {
      const details = Array.from((hops[at] ?? document).querySelectorAll("details"));
      const open = details.some((one) => !one.open);
      for (const one of details) one.open = open;
    } else return;
    event.preventDefault();
  });

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
      setTimeout(() => { button.textContent = "copy"; }, 1500);
    });
  }
  locate();
})();
