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

// An unused session ends. A minute before, the page says so and offers to go on; nothing that was typed is lost.
const idle = document.getElementById("idle");
if (idle) watchIdle(idle, Number(idle.dataset.seconds) * 1000);

function watchIdle(box, limit) {
  const soon = box.querySelector('[data-when="soon"]');
  const ended = box.querySelector('[data-when="ended"]');
  const announced = Math.min(60000, limit / 2);
  let used = Date.now(); // this page was a use of the session

  // What one tab uses keeps the others signed in as well: they have the same session.
  const tabs = new BroadcastChannel("jeton-used");
  tabs.postMessage(used);
  tabs.onmessage = (e) => {
    used = Math.max(used, e.data);
    look();
  };

  function look() {
    const left = used + limit - Date.now();
    box.hidden = left > announced;
    soon.hidden = left <= 0;
    ended.hidden = left > 0;
  }

  soon.querySelector("button").addEventListener("click", async () => {
    const at = Date.now();
    const answer = await fetch("/account", { method: "HEAD", cache: "no-store" }).catch(() => null);
    if (answer && answer.ok) {
      used = at;
      tabs.postMessage(used);
    } else if (answer && answer.status === 401) {
      used = 0;
    }
    look();
  });

  setInterval(look, 1000);
}
