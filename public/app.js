// Comfort for people with JavaScript: keys, the command list, copying, fresh times, one submit per
// press, dropping files anywhere. Every page is whole without this file, and nothing here changes data.

const root = document.documentElement;
root.classList.add("js");

const byId = (id) => document.getElementById(id);
const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
const isOpen = (element) => element?.matches(":popover-open");

// --- Keys -----------------------------------------------------------------------------------------

const places = { o: "/", d: "/data", t: "/training", m: "/models", p: "/playground", c: "/costs", s: "/settings", n: "/training/new" };
let goUntil = 0; // "g" was pressed; the next key counts until then

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    if (!byId("commands")) return;
    event.preventDefault();
    byId("commands").togglePopover();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = event.key.toLowerCase();
  if (event.timeStamp < goUntil && places[key] && byId("sidebar")) {
    goUntil = 0;
    location.assign(places[key]);
  } else if (key === "g") {
    goUntil = event.timeStamp + 1500;
  } else if (key === "?" && byId("shortcuts")) {
    byId("shortcuts").togglePopover();
  } else if (key === "[" && byId("fold")) {
    byId("fold").click();
  }
});

// The server renders the next page folded or not from this cookie.
byId("fold")?.addEventListener("change", (event) => {
  const age = event.target.checked ? 31536000 : 0;
  document.cookie = `folded=1; path=/; max-age=${age}; samesite=lax`;
});

// --- The command list: filter, arrows, enter ------------------------------------------------------

const commands = byId("commands");
if (commands) {
  const input = commands.querySelector("input");
  const nothing = commands.querySelector("p");
  const entries = [...commands.querySelectorAll("li")];
  const shown = () => entries.filter((entry) => !entry.hidden);
  let current = 0;

  const mark = () => {
    shown().forEach((entry, at) => entry.firstElementChild.toggleAttribute("data-current", at === current));
    shown()[current]?.scrollIntoView({ block: "nearest" });
  };
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const entry of entries) {
      const text = entry.textContent.toLowerCase();
      entry.hidden = !words.every((word) => text.includes(word));
      entry.firstElementChild.removeAttribute("data-current");
    }
    nothing.hidden = shown().length > 0;
    current = 0;
    mark();
  };
  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => {
    const count = shown().length;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      current = count ? (current + (event.key === "ArrowDown" ? 1 : count - 1)) % count : 0;
      mark();
    } else if (event.key === "Enter") {
      shown()[current]?.firstElementChild.click();
    }
  });
  commands.addEventListener("toggle", (event) => {
    if (event.newState === "open") {
      input.value = "";
      filter();
      input.focus();
    }
  });
}

// --- Copying --------------------------------------------------------------------------------------
// <button data-copy="ID"> copies the text of #ID.

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("[data-copy]");
  if (!button) return;
  const text = byId(button.dataset.copy)?.textContent ?? "";
  const label = button.lastChild;
  const before = label?.nodeType === Node.TEXT_NODE ? label.data : null;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Plain http outside loopback has no clipboard: select the text, so that Ctrl C takes it.
    getSelection().selectAllChildren(byId(button.dataset.copy));
    said = "Press Ctrl C";
  }
  if (before !== null && before !== said) {
    label.data = said;
    setTimeout(() => (label.data = before), 1600);
  }
});

// --- Times: the same words as src/web/format.rs ---------------------------------------------------

const steps = [
  [45, () => "just now"],
  [3600, (s) => `${Math.max(1, Math.floor(s / 60))} min ago`],
  [86400, (s) => `${Math.floor(s / 3600)} h ago`],
  [172800, () => "yesterday"],
  [2592000, (s) => `${Math.floor(s / 86400)} days ago`],
  [5184000, () => "a month ago"],
  [31536000, (s) => `${Math.floor(s / 2592000)} months ago`],
  [63072000, () => "a year ago"],
  [Infinity, (s) => `${Math.floor(s / 31536000)} years ago`],
];
const refreshTimes = () => {
  for (const time of document.querySelectorAll("time[data-relative]")) {
    const age = Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000);
    const words = steps.find(([limit]) => age < limit)[1](age);
    if (time.textContent !== words) time.textContent = words;
  }
};
setInterval(refreshTimes, 30000);
document.addEventListener("visibilitychange", () => document.hidden || refreshTimes());

// --- One submit per press -------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "1";
  // Not `disabled`: a disabled button's own name and value would be left out of the request.
  const button = event.submitter ?? form.querySelector("button[type=submit], button:not([type])");
  button?.setAttribute("aria-busy", "true");
});
// Coming back by the back button shows the page as it was left: make it usable again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    form.querySelector("[aria-busy]")?.removeAttribute("aria-busy");
  }
});

// --- Dropping a file anywhere on the page ---------------------------------------------------------
// [data-drop="INPUT ID"] is the target; an island that handles drops itself leaves the attribute out.

const target = () => document.querySelector("[data-drop]");
const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0; // dragenter and dragleave come for every element on the way
const highlight = () => target()?.classList.toggle("is-target", depth > 0);

addEventListener("dragenter", (event) => {
  if (hasFiles(event) && target()) {
    depth += 1;
    highlight();
  }
});
addEventListener("dragleave", (event) => {
  if (hasFiles(event) && depth > 0) {
    depth -= 1;
    highlight();
  }
});
addEventListener("dragover", (event) => {
  if (hasFiles(event) && target()) event.preventDefault();
});
addEventListener("drop", (event) => {
  const input = target() && byId(target().dataset.drop);
  if (!hasFiles(event) || !input) return;
  event.preventDefault();
  depth = 0;
  highlight();
  input.files = event.dataTransfer.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
  input.scrollIntoView({ block: "center" });
  input.focus();
});

// --- Logs stay at their end while the person is at the end ----------------------------------------

const follow = (log) => {
  let atEnd = true;
  log.addEventListener("scroll", () => (atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24));
  new MutationObserver(() => atEnd && (log.scrollTop = log.scrollHeight)).observe(log, { childList: true, subtree: true });
  log.scrollTop = log.scrollHeight;
};
document.querySelectorAll("[data-follow]").forEach(follow);

// --- A form that came back with mistakes: the summary takes the focus, or the dialog that holds it --

document.querySelector(".notice[autofocus]")?.focus();
document.querySelector("[popover][data-open]")?.showPopover();

// --- The training form's card names what is wrong as it is typed: it is said at the fields too -----

const plan = byId("plan");
const describe = (field, message, also) => {
  const ids = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && id !== message);
  field.setAttribute("aria-describedby", (also ? [...ids, message] : ids).join(" "));
};
const markFields = () => {
  for (const field of byId("training-form").querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    byId(`${field.id}-error`)?.remove();
    describe(field, `${field.id}-error`, false);
  }
  for (const item of plan.querySelectorAll("[data-field]")) {
    const field = byId(item.dataset.field);
    if (!field) continue;
    const message = document.createElement("p");
    message.className = "field-error";
    message.id = `${field.id}-error`;
    message.textContent = item.textContent;
    field.closest(".field")?.append(message);
    field.setAttribute("aria-invalid", "true");
    describe(field, message.id, true);
  }
};
if (plan) new MutationObserver(markFields).observe(plan, { childList: true });
