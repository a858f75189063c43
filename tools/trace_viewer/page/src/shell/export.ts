// Exports: the timeline or a panel as PNG, the rows of the active view as CSV.

import type { Palette } from '../draw/palette.ts';
import { FitText, fonts, Hatch, PrepareSurface, type Surface } from '../draw/surface.ts';
import type { LegendEntry } from '../views/view.ts';
import { Make } from './dom.ts';
import { GroupsOf } from './legend.ts';

const legendLine = 18; // pixels
const gutterLine = 15;

export function Download(name: string, blob: Blob): void {
  const address = URL.createObjectURL(blob);
  Make('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// Draws the legend from `top` on, in as many lines as it needs, and returns its height. Without `surface` it draws nothing.
function DrawLegend(measure: CanvasRenderingContext2D, surface: Surface | null, entries: LegendEntry[], top: number, width: number): number {
  let x = 12;
  let y = top + legendLine / 2 + 4;
  const Put = (text: string, entry: LegendEntry | null) => {
    measure.font = fonts.small;
    const size = measure.measureText(text).width + (entry === null ? 8 : 28);
    if (x + size > width) {
      x = 12;
      y += legendLine;
    }
    if (surface !== null) {
      const { context, palette } = surface;
      if (entry !== null) {
        context.fillStyle = palette.series[entry.color]!;
        context.fillRect(x, y - 5, 10, 10);
        if (entry.hatched === true) Hatch(surface, x, y - 5, 10, 10);
      }
      context.fillStyle = entry === null ? palette.text : palette.faint;
      context.fillText(text, x + (entry === null ? 0 : 15), y);
    }
    x += size;
  };
  for (const [name, group] of GroupsOf(entries)) {
    if (name !== '') Put(name, null);
    for (const entry of group) Put(entry.name, entry);
    x += 10;
  }
  return entries.length === 0 ? 0 : y + legendLine / 2 + 4 - top;
}

// Canvases under each other, each with its title at the left, and the legend under them.
export function PictureOf(pictures: { title: string; note: string; canvas: HTMLCanvasElement }[], heading: string,
    legend: LegendEntry[], palette: Palette): HTMLCanvasElement {
  const gutter = 208;
  const top = 32;
  const ratio = globalThis.devicePixelRatio || 1;
  const width = gutter + Math.max(...pictures.map(picture => picture.canvas.width / ratio));
  const canvas = document.createElement('canvas');
  const below = top + pictures.reduce((sum, picture) => sum + picture.canvas.height / ratio + 1, 0);
  const height = below + DrawLegend(canvas.getContext('2d')!, null, legend, below, width);
  const surface = PrepareSurface(canvas, width, height, palette);
  const { context } = surface;
  context.fillStyle = palette.background;
  context.fillRect(0, 0, width, height);
  context.fillStyle = palette.text;
  context.font = fonts.strong;
  context.fillText(heading, 12, top / 2);
  let y = top;
  for (const picture of pictures) {
    const high = picture.canvas.height / ratio;
    context.fillStyle = palette.raised;
    context.fillRect(0, y, gutter, high);
    // In lines under each other, or where the lane is too low for that, in one.
    const notes = picture.note === '' ? [] : picture.note.split('\n');
    const isLow = high < gutterLine * (1 + notes.length);
    const first = y + high / 2 - (isLow ? 0 : (gutterLine * notes.length) / 2);
    context.fillStyle = palette.text;
    context.font = fonts.strong;
    context.fillText(picture.title, 12, first);
    const right = isLow ? 12 + context.measureText(picture.title).width + 8 : 12;
    context.fillStyle = palette.faint;
    context.font = fonts.small;
    (isLow ? [notes.join(', ')] : notes).forEach((note, i) =>
      context.fillText(FitText(surface, note, gutter - right - 6), right, first + (isLow ? 0 : gutterLine * (i + 1))));
    context.drawImage(picture.canvas, gutter, y, picture.canvas.width / ratio, high);
    context.fillStyle = palette.line;
    context.fillRect(0, y + high, width, 1);
    y += high + 1;
  }
  context.font = fonts.small;
  DrawLegend(context, surface, legend, below, width);
  return canvas;
}

export function DownloadPicture(name: string, canvas: HTMLCanvasElement): void {
  canvas.toBlob(blob => {
    if (blob !== null) Download(name, blob);
  }, 'image/png');
}

export function ExportDialog(choices: { title: string; run: () => void }[]): HTMLDialogElement {
  const dialog = Make('dialog', { 'aria-labelledby': 'export-title' });
  dialog.append(Make('h2', { id: 'export-title' }, 'Export'),
    Make('p', {}, 'What is shown now: this range of time, with this filter.'),
    Make('div', { class: 'actions' },
      ...choices.map(choice => Make('button', {
        type: 'button',
        onclick: () => {
          dialog.close();
          choice.run();
        },
      }, choice.title)),
      Make('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel')));
  return dialog;
}
