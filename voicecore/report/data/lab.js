"use strict";
// The check boxes show and hide a receiver in all pictures and tables.
for (const box of document.querySelectorAll(".switches input")) {
  box.addEventListener("change", () => {
    for (const part of document.getElementsByClassName("s-" + box.dataset.s)) {
      part.classList.toggle("off", !box.checked);
    }
  });
}
