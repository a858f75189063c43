// Gaps: parts of the time of which records are missing (truncated, dropped or overwritten). They are hatched over what is drawn
// there, for that is not all there was.

import type { Gap } from '../model.ts';
import { TimeToX, type Viewport } from '../views/view.ts';
import type { Frame } from './chart.ts';
import { Hatch, type Surface } from './surface.ts';

const narrowest = 3; // pixels: the shortest gap is seen too

// Within `frame`, across which the time of `viewport` goes. A gap of which nobody knows the end goes on to the right edge.
export function DrawGaps(surface: Surface, gaps: readonly Gap[], viewport: Viewport, frame: Frame): void {
  const across = { ...viewport, width: frame.width };
  for (const gap of gaps) {
    const begin = TimeToX(across, gap.begin);
    const end = gap.end === null ? frame.width : Math.max(begin + narrowest, TimeToX(across, gap.end));
    const left = Math.max(0, begin);
    Hatch(surface, frame.left + left, frame.top, Math.min(frame.width, end) - left, frame.height);
  }
}
