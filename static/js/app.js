// The one entry of every page. Modules listen on the document, so that swapped-in fragments need no set-up.
import "./theme.js";
import "./menu.js";
import "./dialog.js";
import "./toast.js";
import "./copy.js";
import "./time.js";
import "./poll.js";
import "./submit.js";
import "./keyboard.js";
