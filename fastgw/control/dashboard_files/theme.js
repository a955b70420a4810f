// Dark, light or as the system has it: applied before the first paint, hence a script of its own without a module.
(function () {
  "use strict";
  const KEY = "fastgw.theme";
  const CHOICES = ["system", "dark", "light"];

  function chosen() {
    try {
      const kept = localStorage.getItem(KEY);
      return CHOICES.includes(kept) ? kept : "system";
    } catch {
      return "system"; // storage is forbidden here: the choice lasts as long as the page
    }
  }

  function apply(choice) {
    if (choice === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = choice;
  }

  window.fastgwTheme = {
    get: () => document.documentElement.dataset.theme || "system",
    next() {
      const choice = CHOICES[(CHOICES.indexOf(this.get()) + 1) % CHOICES.length];
      apply(choice);
      try {
        localStorage.setItem(KEY, choice);
      } catch {
        // as above
      }
      return choice;
    },
  };
  apply(chosen());
})();
