/**
 * The key of whoever sits here: the server keeps it in a cookie that goes back to it alone and that no script can read.
 *
 * The page itself never keeps it. Both requests carry a header that pages of other origins cannot send.
 */

const OURS = { "X-Requested-With": "page" };

/** Log in. Null when it worked, otherwise why not, in words for the user. */
export async function logIn(key: string): Promise<string | null> {
  if (!/^[\x21-\x7e]+$/.test(key)) return "A key has no spaces and only plain letters, digits and signs. Check that it is whole.";
  try {
    const answer = await fetch("/v1/login", { headers: { ...OURS, Authorization: `Bearer ${key}` }, cache: "no-store" });
    return answer.ok ? null : (await answer.text()).trim() || "The server did not take this key.";
  } catch {
    return "The server does not answer. Try again.";
  }
}

/** Have the cookie taken away. False when the server does not answer. */
export async function logOut(): Promise<boolean> {
  try {
    return (await fetch("/v1/logout", { headers: OURS, cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
