// Filters and paging for the lists of paraphrases and of test rows. Without scripts, all items are shown.
// A select compares its value with data-NAME, words with spaces between, of an item or of the parts of an item.
"use strict";
for (const browser of document.querySelectorAll(".browser")) {
  const form = browser.querySelector("form");
  const search = form.querySelector("input");
  const selects = [...form.querySelectorAll("select")];
  const count = form.querySelector("output");
  const more = browser.querySelector(".sources ~ button");
  // The search covers the texts and classes of the runs, not the names of methods.
  const texts = (element, where) => [...element.querySelectorAll(where)].map((one) => one.textContent);
  const items = [...browser.querySelectorAll(".sources > li")].map((item) => ({
    item,
    texts: texts(item, ".source > span, .truth b"),
    parts: [...item.querySelectorAll(".entry")],
  }));
  const STEP = 20;
  let room = STEP;

  const fits = ({ dataset }) =>
    selects.every(({ name, value }) => !value || !(name in dataset) || dataset[name].split(" ").includes(value));
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let matches = 0;
    for (const { item, texts: itemTexts, parts } of items) {
      const wanted = parts.filter(fits);
      for (const part of parts) part.hidden = !wanted.includes(part);
      const partTexts = wanted.flatMap((part) => texts(part, "p[dir], .answers bdi"));
      const text = [...itemTexts, ...partTexts].join(" ").toLowerCase();
      const shown = wanted.length > 0 && fits(item) && words.every((word) => text.includes(word));
      matches += shown;
      item.hidden = !shown || matches > room;
    }
    count.textContent = `${matches.toLocaleString("en")} ${matches === 1 ? form.dataset.one : form.dataset.many}`;
    more.hidden = matches <= room;
  };
  const restart = () => {
    room = STEP;
    show();
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, restart); // some tools fire only one of them for a select
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const next = items.filter(({ item }) => !item.hidden).length;
    room += STEP;
    show();
    // The button may be hidden now: keyboard focus moves to the first new item.
    const first = items.filter(({ item }) => !item.hidden)[next];
    if (first) {
      first.item.tabIndex = -1;
      first.item.focus();
    }
  });
  form.hidden = false;
  restart();
}
