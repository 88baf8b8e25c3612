import { type FormEvent, useId, useState } from "react";

import type { Chat } from "../chat";

/** Stands in the composer's place where the server wants a key. */
export function Login({ chat, reason }: { chat: Chat; reason: string | undefined }) {
  const field = useId();
  const [key, setKey] = useState("");
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<string | null>(null);

  const submit = (event: FormEvent): void => {
    event.preventDefault();
    setBusy(true);
    void chat.logIn(key.trim()).then((why) => {
      setBusy(false);
      setRefused(why);
    });
  };

  return (
    <form className="login" data-testid="login" onSubmit={submit}>
      <label htmlFor={field}>Key</label>
      <div className="login-row">
        <input
          id={field}
          type="password"
          autoComplete="current-password"
          autoCapitalize="off"
          spellCheck={false}
          placeholder="va_…"
          required
          autoFocus
          value={key}
          aria-describedby={`${field}-why`}
          onChange={(event) => setKey(event.target.value)}
        />
        <button type="submit" className="quiet" disabled={busy || key.trim() === ""}>
          Log in
        </button>
      </div>
      <p id={`${field}-why`} className="composer-note warn" role="alert" data-testid="login-problem">
        {refused ?? reason}
      </p>
      <button type="button" className="link" onClick={() => void chat.goWithoutKey()}>
        Go on without a key
      </button>
    </form>
  );
}
