/** Only for what ships: does it use an API that the browser floor (package.json) does not have? */
import compat from "eslint-plugin-compat";

export default [
  { files: ["dist/*.js", "dist/*.cjs"], ...compat.configs["flat/recommended"], linterOptions: { noInlineConfig: true } },
];
