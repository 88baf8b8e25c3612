/** The page's icons: 20 x 20, drawn in the text's colour, hidden from screen readers. */

import type { ReactNode } from "react";

function icon(children: ReactNode) {
  return function Icon() {
    return (
      <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
        {children}
      </svg>
    );
  };
}

export const PictureIcon = icon(
  <>
    <rect x="3" y="4" width="14" height="12" rx="2.5" />
    <circle cx="7.4" cy="8.2" r="1.3" />
    <path d="m3.5 14 3.8-3.4 2.7 2.3 2.9-3 3.6 3.6" />
  </>,
);
export const SendIcon = icon(<path d="M10 16V4.5M5 9.3l5-5 5 5" />);
export const StopIcon = icon(<rect className="filled" x="5.5" y="5.5" width="9" height="9" rx="2" />);
export const CloseIcon = icon(<path d="m6 6 8 8m0-8-8 8" />);
export const ListIcon = icon(<path d="M4 5.5h12M4 10h12M4 14.5h12" />);
export const NewIcon = icon(<path d="M16.5 10.5V14A2.5 2.5 0 0 1 14 16.5H6A2.5 2.5 0 0 1 3.5 14V6A2.5 2.5 0 0 1 6 3.5h3.5M8.5 11.5l.4-2.3 6-6 1.9 1.9-6 6-2.3.4Z" />);
export const EyeIcon = icon(
  <>
    <path d="M2.5 10c2-3.5 4.5-5.2 7.5-5.2s5.5 1.7 7.5 5.2c-2 3.5-4.5 5.2-7.5 5.2S4.5 13.5 2.5 10Z" />
    <circle cx="10" cy="10" r="2.3" />
  </>,
);
export const WarnIcon = icon(<path d="M10 3.5 17.5 16.5h-15L10 3.5Zm0 5v3.5m0 2.2v.1" />);
export const CopyIcon = icon(
  <>
    <rect x="7" y="7" width="9.5" height="9.5" rx="2" />
    <path d="M13 4.5A1.5 1.5 0 0 0 11.5 3.5h-6a2 2 0 0 0-2 2v6A1.5 1.5 0 0 0 4.5 13" />
  </>,
);
export const CheckIcon = icon(<path d="m4.5 10.5 3.5 3.5 7.5-8" />);
export const EditIcon = icon(<path d="m4 16 .6-3.2L13 4.4l2.6 2.6-8.4 8.4L4 16Zm7.2-9.8 2.6 2.6" />);
export const AgainIcon = icon(<path d="M15.8 8.3A6 6 0 1 0 16 11M16.2 4.3v4h-4" />);
export const PreviousIcon = icon(<path d="m12 5-5 5 5 5" />);
export const NextIcon = icon(<path d="m8 5 5 5-5 5" />);
export const DownIcon = icon(<path d="M10 4v11.5M5 10.7l5 5 5-5" />);
export const ToolIcon = icon(<path d="M11 3.5 5 11h4.5L9 16.5 15 9h-4.5L11 3.5Z" />);
export const LogoIcon = icon(
  <>
    <rect className="logo-tile" width="20" height="20" rx="5.6" />
    <path className="logo-line" d="M4 10c1.7-2.9 3.7-4.3 6-4.3s4.3 1.4 6 4.3c-1.7 2.9-3.7 4.3-6 4.3S5.7 12.9 4 10Z" />
    <circle className="logo-dot" cx="10" cy="10" r="2.1" />
  </>,
);
