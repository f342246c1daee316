// Loads the WASM once and wakes the islands: on the page, and in whatever htmx swaps in later.
// Only pages that hold an island load this file.
const { module, wasm } = document.getElementById("islands").dataset;

let islands = null;

async function wake(island) {
  if (island.dataset.awake !== undefined) return;
  island.dataset.awake = "";
  const hydrate = islands[island.dataset.component];
  if (!hydrate) return console.warn(`no island is called ${island.dataset.component}`);
  await hydrate(island);
  island.dispatchEvent(new CustomEvent("island:awake", { bubbles: true }));
}

function wakeAll(root) {
  if (root.matches?.("leptos-island")) wake(root);
  for (const island of root.querySelectorAll?.("leptos-island") ?? []) wake(island);
}

const loaded = await import(module);
await loaded.default({ module_or_path: wasm });
loaded.hydrate();
islands = loaded;
wakeAll(document.body);

new MutationObserver((changes) => {
  for (const change of changes) for (const node of change.addedNodes) wakeAll(node);
}).observe(document.body, { childList: true, subtree: true });
