import { useEffect, useRef, useState } from "react";

import type { MessageImage } from "../conversation";
import { CloseIcon, PictureIcon } from "./Icons";

interface Props {
  image: MessageImage;
  number: number;
  url: string;
  name: string | null;
}

/** A picture of the conversation; opens large. A picture that cannot be shown says so. */
export function Picture({ image, number, url, name }: Props) {
  const [broken, setBroken] = useState(false);
  const [open, setOpen] = useState(false);
  const label = name ?? `Picture ${number}`;
  if (broken)
    return (
      <div className="picture placeholder" role="img" aria-label={`${label}, no preview`}>
        <PictureIcon />
        <span>No preview</span>
      </div>
    );
  return (
    <>
      <button type="button" className="picture" onClick={() => setOpen(true)} aria-label={`${label}, show large`}>
        <img src={url} alt={label} width={image.width} height={image.height} onError={() => setBroken(true)} />
      </button>
      {open && <Lightbox url={url} label={label} onClose={() => setOpen(false)} />}
    </>
  );
}

function Lightbox({ url, label, onClose }: { url: string; label: string; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="lightbox" aria-label={label} onClose={onClose} onClick={() => dialog.current?.close()}>
      <img src={url} alt={label} />
      <button type="button" className="icon-button" aria-label="Close">
        <CloseIcon />
      </button>
    </dialog>
  );
}
