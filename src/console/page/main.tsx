import { render } from 'preact';
import './style/tokens.css';
import './style/base.css';
import { App } from './shell/app.tsx';
import { applyTheme } from './shell/theme.ts';

applyTheme();
render(<App />, document.querySelector('#page') ?? document.body);
