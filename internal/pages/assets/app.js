// What the pages do beyond HTML. Every page works without it.
"use strict";

// Times are in UTC until here: show them in the time zone of the browser.
for (const el of document.querySelectorAll("time[datetime]")) {
  const at = new Date(el.dateTime);
  if (isNaN(at)) continue;

  const words = at.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  if (el.hasAttribute("data-words")) {
    el.title = words;
  } else {
    el.textContent = words;
  }
}

// A button with data-copy="ID" copies the text of an element, and says so.
for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;

  button.hidden = false;
  button.addEventListener("click", async () => {
    const from = document.getElementById(button.dataset.copy);
    const said = document.getElementById(button.dataset.copy + "-copied");
    await navigator.clipboard.writeText(from.textContent.trim());
    if (said) said.hidden = false;
  });
}

// The tab of this page is in sight, also where the navigation scrolls.
const tab = document.querySelector(".tabs [aria-current]");
if (tab) tab.scrollIntoView({ block: "nearest", inline: "center" });
