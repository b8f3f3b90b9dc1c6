// Runs before the page is painted, so that no page appears in the other theme first.
{
  let kept = null;
  try {
    kept = localStorage.getItem("theme");
  } catch {
    // Storage may be forbidden; then the system's theme holds.
  }
  const system = matchMedia("(prefers-color-scheme: dark)");
  const set = () => {
    document.documentElement.dataset.theme = kept ?? (system.matches ? "dark" : "light");
  };
  system.addEventListener("change", set);
  set();
  document.addEventListener("themechosen", (event) => {
    kept = event.detail;
    set();
    try {
      localStorage.setItem("theme", kept);
    } catch {
      // As above: it holds for this page only.
    }
  });
}
