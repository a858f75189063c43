// Making elements. Texts become text nodes: there is no way here to make markup of one.

type Attributes = Record<string, string | boolean | ((event: never) => void)>;

// Make('button', { class: 'x', onclick: f }, 'text', child ...). Attributes by name; "on..." are listeners.
export function Make<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {},
    ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value as (event: Event) => void);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
