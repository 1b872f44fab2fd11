/** Only for what ships: it must not use an API that a browser of the floor (package.json) lacks. */
import compat from "eslint-plugin-compat";

export default [
  { files: ["dist/*.js", "dist/*.cjs"], ...compat.configs["flat/recommended"], linterOptions: { noInlineConfig: true } },
];
