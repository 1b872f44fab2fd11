/**
 * How the page that the user returns to learns the outcome. What its URL says is only a way to the outcome, and never
 * the outcome.
 */
import { startFlow, type Flow } from "./flow";
import type { OpenOptions } from "./index";
import { keep, kept } from "./kept";
import type { Log } from "./status";

let outcome: Flow["_launched"] | undefined;

/**
 * The outcome of the flow that led to this page, if one did. It is one for the page, whichever instance asks first:
 * that one takes our parameters out of the URL. The server puts them last, and the ticket (`alter_result_code`, or
 * `alter_sid` where it could make no code) first among them. A ticket alone opens nothing: it counts with `v`.
 */
export function returned(log: Log): typeof outcome {
  let base, v, ticket, before;
  try {
    const came = /[?&]alter_(con|res|sid)\w*=([^&]*).*/.exec(location.search);
    if (came) {
      ticket = came[2];
      history.replaceState(history.state, "", location.href.replace(came[0], ""));
    }
    [base, v, before] = kept();
    keep(base!, v!, (ticket ||= before));
  } catch {
    // Not in a browser, or this tab keeps nothing.
  }
  if (ticket) outcome ||= startFlow({ token: ticket } as OpenOptions, log, base, v)._launched;
  return outcome;
}
