// Short messages at the bottom of the page, with something to do about them.

const SECONDS = 8;
const box = document.createElement("div");
box.className = "toasts";
box.setAttribute("role", "status");
document.body.append(box);

/** Show a message; `action` is the text of a button that calls `act`. */
export function toast(text, action, act) {
  // What is below an open dialog cannot be reached.
  const dialog = document.querySelector("dialog[open]");
  (dialog || document.body).append(box);
  const line = document.createElement("div");
  line.className = "toast";
  line.append(text);
  let timer;
  const stay = () => clearTimeout(timer);
  const wait = () => {
    stay();
    timer = setTimeout(() => line.remove(), SECONDS * 1000);
  };
  if (action) {
    const button = document.createElement("button");
    button.textContent = action;
    button.onclick = () => { line.remove(); act(); };
    line.append(button);
    // Who is about to press it has time.
    for (const name of ["focusin", "pointerenter"]) line.addEventListener(name, stay);
    for (const name of ["focusout", "pointerleave"]) line.addEventListener(name, wait);
  }
  box.replaceChildren(line);
  wait();
}

/** Say what went wrong. */
export const trouble = (error) => toast(`That did not work: ${error.message}`);
