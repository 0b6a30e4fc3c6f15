// The browser of paraphrases: filters, and a page at a time. Without scripts all of them are simply there.
"use strict";
(() => {
  const browser = document.getElementById("browser");
  if (!browser) return;
  const form = browser.querySelector("form");
  const [search, method, status] = form.elements;
  const count = browser.querySelector("output");
  const more = browser.querySelector("button");
  const sources = [...browser.querySelectorAll(".sources > li")].map((item) => ({
    item,
    source: item.querySelector(".source").textContent,
    made: [...item.querySelectorAll(".made")],
  }));
  const STEP = 20;
  let room = STEP;

  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { item, source, made } of sources) {
      const wanted = made.filter(
        ({ dataset }) => [dataset.method, ""].includes(method.value) && [dataset.status, ""].includes(status.value),
      );
      for (const one of made) one.hidden = !wanted.includes(one);
      const text = [source, ...wanted.map((one) => one.textContent)].join(" ").toLowerCase();
      const fits = wanted.length > 0 && words.every((word) => text.includes(word));
      found += fits;
      item.hidden = !fits || found > room;
    }
    count.textContent = found === 1 ? "1 text" : `${found.toLocaleString("en")} texts`;
    more.hidden = found <= room;
  };
  const anew = () => {
    room = STEP;
    show();
  };
  form.addEventListener("input", anew);
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    room += STEP;
    show();
  });
  form.hidden = false;
  anew();
})();
