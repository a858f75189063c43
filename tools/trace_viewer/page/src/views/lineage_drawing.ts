// The drawings of the lineage panel: edges between storages, and the life of one.

import { residencyNames, Residency, type Edge, type Lineage } from '../derive/lineage.ts';
import { DrawText, type Frame } from '../draw/chart.ts';
import { FormatInstant } from '../draw/format.ts';
import { DrawGaps } from '../draw/gaps.ts';
import { Series } from '../draw/palette.ts';
import { fonts, type Surface } from '../draw/surface.ts';
import type { Trace } from '../model.ts';
import { Direction } from '../vocabulary.ts';
import { InkOn } from './span_view.ts';

interface Box extends Omit<Frame, 'left' | 'top'> {
  storage: number;
  x: number;
  y: number;
}

export interface Names {
  name: (storage: number) => string;
  way: (edge: Edge) => string;
  packs: string[]; // what the storage was saved for
}

const boxHeight = 20;

// Sources on the left, the storage with its views in the middle, what is made from it on the right. Returns where they are.
export function DrawEdges(surface: Surface, frame: Frame, lineage: Lineage, names: Names): Box[] {
  const { context, palette } = surface;
  const boxWidth = Math.min(220, frame.width * 0.26);
  const middleX = frame.left + (frame.width - boxWidth) / 2;
  const middleY = frame.top + (frame.height - boxHeight) / 2;
  const boxes: Box[] = [{ storage: lineage.storage, x: middleX, y: middleY, width: boxWidth, height: boxHeight }];
  const room = Math.max(1, Math.floor(frame.height / (boxHeight + 6)));
  const DrawSide = (edges: Edge[], isSource: boolean): void => {
    const x = isSource ? frame.left : frame.left + frame.width - boxWidth;
    const byStorage = new Map(edges.map(edge => [isSource ? edge.source : edge.derived, edge]));
    const shown = [...byStorage.values()].slice(0, byStorage.size > room ? room - 1 : room);
    const count = shown.length + (byStorage.size > shown.length ? 1 : 0);
    const Y = (i: number): number => frame.top + (frame.height - count * (boxHeight + 6) + 6) / 2 + i * (boxHeight + 6);
    shown.forEach((edge, i) => {
      const storage = isSource ? edge.source : edge.derived;
      const from = isSource ? x + boxWidth : middleX + boxWidth;
      const to = isSource ? middleX : x;
      DrawArrow(surface, from, isSource ? Y(i) + boxHeight / 2 : middleY + boxHeight / 2, to,
        isSource ? middleY + boxHeight / 2 : Y(i) + boxHeight / 2, names.way(edge));
      DrawBox(surface, names.name(storage), x, Y(i), boxWidth, false);
      boxes.push({ storage, x, y: Y(i), width: boxWidth, height: boxHeight });
    });
    if (byStorage.size > shown.length) {
      DrawText(surface, `and ${byStorage.size - shown.length} more, in the table`, x + 6, Y(count - 1) + boxHeight / 2, boxWidth,
        palette.faint);
    }
    if (byStorage.size === 0) {
      DrawText(surface, isSource ? 'made from nothing that was told' : 'nothing was made from it', x + boxWidth / 2,
        frame.top + frame.height / 2, boxWidth, palette.faint, fonts.small, 'center');
    }
  };
  DrawSide(lineage.sources, true);
  DrawSide(lineage.derived, false);
  DrawBox(surface, names.name(lineage.storage), middleX, middleY, boxWidth, true);
  const uses = new Map<string, number>();
  for (const use of names.packs) uses.set(use, (uses.get(use) ?? 0) + 1);
  const text = [...uses].map(([use, times]) => (times > 1 ? `${use} (${times} times)` : use)).join(', ');
  if (frame.height > 60) {
    DrawText(surface, text === '' ? 'never saved' : `saved for ${text}`, middleX + boxWidth / 2, middleY + boxHeight + 11,
      boxWidth * 1.5, palette.faint, fonts.small, 'center');
  }
  context.lineWidth = 1;
  return boxes;
}

function DrawBox(surface: Surface, text: string, x: number, y: number, width: number, isMiddle: boolean): void {
  const { context, palette } = surface;
  context.fillStyle = palette.raised;
  context.strokeStyle = isMiddle ? palette.focus : palette.gap;
  context.lineWidth = isMiddle ? 2 : 1;
  context.beginPath();
  context.roundRect(x, y, width, boxHeight, 5);
  context.fill();
  context.stroke();
  DrawText(surface, text, x + 8, y + boxHeight / 2, width - 14, palette.text, isMiddle ? fonts.strong : fonts.small);
}

function DrawArrow(surface: Surface, x: number, y: number, toX: number, toY: number, text: string): void {
  const { context, palette } = surface;
  const middle = (x + toX) / 2;
  context.strokeStyle = palette.gap;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x, y);
  context.bezierCurveTo(middle, y, middle, toY, toX - 6, toY);
  context.stroke();
  context.fillStyle = palette.gap;
  context.beginPath();
  context.moveTo(toX, toY);
  context.lineTo(toX - 7, toY - 4);
  context.lineTo(toX - 7, toY + 4);
  context.fill();
  DrawText(surface, text, middle, (y + toY) / 2 - 7, Math.abs(toX - x) - 16, palette.faint, fonts.small, 'center');
}

// Where the bytes were from registration to retirement: a band in the colour of each state, copies as bars under it, and marks
// for what was decided, saved and used.
export function DrawLife(
  surface: Surface, frame: Frame, lineage: Lineage, trace: Trace, isAvoided: (action: number) => boolean,
): void {
  const { context, palette } = surface;
  const { time, detail } = trace.columns;
  const all = [...lineage.path, ...lineage.packs, ...lineage.unpacks, ...lineage.decisions, lineage.registered, lineage.retired,
    ...lineage.copies.map(copy => copy.ended)].filter(record => record >= 0).map(record => time[record]!);
  if (all.length === 0) return;
  const begin = Math.min(...all);
  const end = Math.max(...all, begin + 1);
  const label = 76;
  const left = frame.left + label;
  const width = frame.width - label;
  const X = (ns: number): number => left + ((ns - begin) / (end - begin)) * width;
  const rowHeight = Math.min(18, Math.max(10, (frame.height - 16) / 4));
  const Row = (row: number): number => frame.top + row * (rowHeight + 3);
  ['bytes', 'copies', 'avoided', 'saved, used'].forEach((text, row) =>
    DrawText(surface, text, frame.left, Row(row) + rowHeight / 2, label - 6, palette.faint));
  // Before its first move it is where that comes from.
  const path = lineage.path;
  for (let i = -1; i < path.length; ++i) {
    const state = i < 0 ? (path.length > 0 ? detail[path[0]!]! >> 8 : Residency.Device) : detail[path[i]!]! & 255;
    const from = X(i < 0 ? begin : time[path[i]!]!);
    const to = X(i + 1 < path.length ? time[path[i + 1]!]! : end);
    const color = palette.series[StateSeries(state)]!;
    context.fillStyle = color;
    context.fillRect(from, Row(0), Math.max(1, to - from - 0.5), rowHeight);
    DrawText(surface, residencyNames[state] ?? '', from + 4, Row(0) + rowHeight / 2, to - from - 6, InkOn(color));
  }
  for (const copy of lineage.copies) {
    const asked = X(time[copy.record]!);
    if (copy.failed) {
      context.fillStyle = palette.series[Series.Stall]!;
      context.fillRect(asked, Row(1) + rowHeight / 3, Math.max(2, X(time[copy.ended]!) - asked), rowHeight / 3);
      continue;
    }
    context.fillStyle = palette.series[Series.Muted]!;
    if (copy.begun >= 0) context.fillRect(asked, Row(1) + rowHeight / 3, Math.max(1, X(time[copy.begun]!) - asked), rowHeight / 3);
    if (copy.begun < 0 || copy.ended < 0) continue;
    context.fillStyle = palette.series[copy.direction === Direction.Out ? Series.Out : Series.In]!;
    context.fillRect(X(time[copy.begun]!), Row(1), Math.max(2, X(time[copy.ended]!) - X(time[copy.begun]!)), rowHeight);
  }
  const Mark = (record: number, row: number, color: string, isFilled: boolean): void => {
    context.beginPath();
    context.arc(X(time[record]!), Row(row) + rowHeight / 2, Math.min(4, rowHeight / 2 - 1), 0, 2 * Math.PI);
    context.fillStyle = context.strokeStyle = color;
    if (isFilled) context.fill();
    else context.stroke();
  };
  for (const record of lineage.decisions) if (isAvoided(detail[record]! >> 8)) Mark(record, 2, palette.series[Series.Hidden]!, true);
  for (const record of lineage.packs) Mark(record, 3, palette.text, false);
  for (const record of lineage.unpacks) Mark(record, 3, palette.text, true);
  DrawGaps(surface, trace.meta.gaps, { begin, end, width }, { left, top: Row(0), width, height: Row(4) - Row(0) - 3 });
  DrawText(surface, FormatInstant(begin), left, Row(4) + 2, width / 2, palette.faint);
  DrawText(surface, FormatInstant(end), left + width, Row(4) + 2, width / 2, palette.faint, fonts.small, 'right');
}

function StateSeries(state: number): number {
  switch (state) {
    case Residency.Leaving: return Series.Out;
    case Residency.Both: return Series.Hidden;
    case Residency.Host: return Series.In;
    case Residency.Replayable: return Series.Muted;
    case Residency.Lost: return Series.Stall;
    default: return Series.Forward;
  }
}
