/**
 * What stands between this page and the server: windows, the nodes of the form, what a CSP blocks. `flow.ts` says how
 * they make a door.
 */

/** For 32 bytes only: base64 pads them with exactly one `=`. */
export const base64url = (bytes: ArrayLike<number> | ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace("=", "");

/** A blank window in the middle of this one. It has no name: a window of another flow might have the same. */
export const openPopup = (): Window | null =>
  open(
    "",
    "",
    `width=500,height=700,left=${screenX + (outerWidth - 500) / 2},top=${screenY + (outerHeight - 700) / 2}`,
  );

/** Makes an element and puts it into a document, which may be another one's. */
export const add = <T extends keyof HTMLElementTagNameMap>(parent: Node, tag: T, properties?: object) =>
  parent.appendChild(Object.assign(document.createElement(tag), properties));

/** A blank frame: the referrer policy in it is not this page's. */
export const blankFrame = (): Window => add(document.head, "iframe").contentWindow!;

/** Makes a listener for what an enforced CSP blocks under one directive. */
export const onBlocked =
  (directive: string, then: (uri: string) => void) =>
  ({ effectiveDirective, disposition, blockedURI }: SecurityPolicyViolationEvent): void => {
    if (effectiveDirective === directive && disposition !== "report") then(blockedURI);
  };

/**
 * Closes the popup, and tries again for 6 seconds: a close during a navigation can get lost, and one
 * more call on a closed window does no harm.
 */
export function closePopup(popup: Window, left = 20): void {
  popup.close();
  if (!popup.closed && left) setTimeout(closePopup, 300, popup, left - 1);
}
