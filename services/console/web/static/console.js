// What makes the pages nicer; every page works without it.
"use strict";

// Copy buttons: the text of the element they name.
for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    button.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// Choices that apply at once.
for (const field of document.querySelectorAll("[data-submit]")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}

// A question before what cannot be undone, and no second click while the first is on its way.
for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.scripted !== undefined) return; // by a script of its own
    if (form.dataset.confirm && !confirm(form.dataset.confirm)) {
      event.preventDefault();
      return;
    }
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    event.submitter?.setAttribute("aria-busy", "true");
    document.body.classList.add("busy");
  });
}
for (const link of document.querySelectorAll("a[href^='/']")) {
  link.addEventListener("click", (event) => {
    if (!event.ctrlKey && !event.metaKey && !event.shiftKey) document.body.classList.add("busy");
  });
}
addEventListener("pageshow", () => {
  document.body.classList.remove("busy");
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
  }
});

// The menu of small screens begins closed.
const menu = document.querySelector("details.menu");
if (menu && matchMedia("(max-width: 820px)").matches) menu.open = false;

// A key typed into the Connect page fills in the set-up; it goes nowhere else.
const fill = document.querySelector("[data-fill]");
if (fill) {
  const placeholder = fill.dataset.fill;
  const blocks = [...document.querySelectorAll(".snippet code")].map((code) => [code, code.textContent]);
  fill.addEventListener("input", () => {
    const key = fill.value.trim() || placeholder;
    for (const [code, text] of blocks) code.textContent = text.replaceAll(placeholder, key);
  });
}
