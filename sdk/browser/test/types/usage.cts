/** The same from CommonJS. */
import connect = require("@alter-ai/connect");

const alter: connect.default = connect.default.create();
const error: connect.AlterError = { code: "popup_blocked", message: "" };
