// This window plays a phone: it has the size of one, and says that it is one. That is all the SDK goes by.
'use strict';
Object.defineProperty(navigator, 'userAgent', {
  value: 'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36',
});
// A phone's tab was opened by nobody.
window.opener = null;
