// What is missing of a trace, and what is wrong with its file: gaps first.

import { FormatCount, FormatDuration } from '../draw/format.ts';
import type { Meta } from '../model.ts';
import { Make } from './dom.ts';

export function ProblemsText(meta: Meta): HTMLElement {
  const { gaps } = meta;
  const { count, list } = meta.summary.problems;
  const text = Make('div');
  if (gaps.length === 0 && count === 0) {
    text.append(Make('p', { class: 'empty' }, 'Nothing is missing: the trace is whole.'));
    return text;
  }
  const Table = (caption: string, titles: string[], rows: string[][]) => Make('table', { class: 'rows' },
    Make('caption', {}, caption),
    Make('thead', {}, Make('tr', {}, ...titles.map(title => Make('th', { scope: 'col' }, title)))),
    Make('tbody', {}, ...rows.map(row => Make('tr', {}, ...row.map(cell => Make('td', {}, cell))))));
  if (gaps.length > 0) {
    text.append(Table('Gaps: records are missing there', ['From', 'To', 'Why', 'What'],
      gaps.map(gap => [FormatDuration(gap.begin), gap.end === null ? 'not known' : FormatDuration(gap.end), gap.reason, gap.what])));
  }
  if (count > 0) {
    text.append(Table(`${FormatCount(count)} problem${count === 1 ? '' : 's'} of the file`, ['Byte', 'What'],
      list.map(problem => [FormatCount(problem.offset), problem.what])));
  }
  return text;
}
