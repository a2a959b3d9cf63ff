// The compare page: its charts, and what is drawn as a file.

import "./charts.js";
import "./download.js";
