/**
 * What this tab keeps in its sessionStorage while the redirect transport has taken the user away: the server and `v`,
 * and after the return the ticket that came with it, so that a reload in the middle redeems again (the server gives the
 * same answer to the same `v`). Where the browser keeps nothing, all of this throws.
 */
export const keep = (base: string, v: string, ticket?: string): void => {
  sessionStorage.alterConnect = [base, v, ticket].join(" ");
};

export const kept = (): string[] => sessionStorage.alterConnect.split(" ");

/** Ends what is kept, if that is the flow of `v`. Returns whether it is. */
export const forget = (v: string): boolean =>
  sessionStorage.alterConnect?.includes(v) && delete sessionStorage.alterConnect;
