// The browsers of paraphrases and of test rows: filters, and a page at a time. Without scripts all is simply there.
// A select holds its name against data-NAME, words with spaces between, of an item or of the parts of an item.
"use strict";
for (const browser of document.querySelectorAll(".browser")) {
  const form = browser.querySelector("form");
  const search = form.querySelector("input");
  const selects = [...form.querySelectorAll("select")];
  const count = form.querySelector("output");
  const more = browser.querySelector(".sources ~ button");
  // Only words of the runs are searched: not the names of methods, nor that a word was taken away.
  const texts = (element, where) => [...element.querySelectorAll(where)].map((one) => one.textContent);
  const items = [...browser.querySelectorAll(".sources > li")].map((item) => ({
    item,
    own: texts(item, ".source > span, .truth b"),
    parts: [...item.querySelectorAll(".made")],
  }));
  const STEP = 20;
  let room = STEP;

  const fits = ({ dataset }) =>
    selects.every(({ name, value }) => !value || !(name in dataset) || dataset[name].split(" ").includes(value));
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { item, own, parts } of items) {
      const wanted = parts.filter(fits);
      for (const part of parts) part.hidden = !wanted.includes(part);
      const said = wanted.flatMap((part) => texts(part, "p[dir], .answers bdi"));
      const text = [...own, ...said].join(" ").toLowerCase();
      const shown = wanted.length > 0 && fits(item) && words.every((word) => text.includes(word));
      found += shown;
      item.hidden = !shown || found > room;
    }
    count.textContent = `${found.toLocaleString("en")} ${found === 1 ? form.dataset.one : form.dataset.many}`;
    more.hidden = found <= room;
  };
  const anew = () => {
    room = STEP;
    show();
  };
  for (const kind of ["input", "change"]) form.addEventListener(kind, anew); // some tools fire only one for a select
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const next = items.filter(({ item }) => !item.hidden).length;
    room += STEP;
    show();
    // The button may be gone: who came by keyboard goes on at the first new item.
    const first = items.filter(({ item }) => !item.hidden)[next];
    if (first) {
      first.item.tabIndex = -1;
      first.item.focus();
    }
  });
  form.hidden = false;
  anew();
}
