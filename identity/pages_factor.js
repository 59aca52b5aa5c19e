// Lets a security key answer, or be added: the page's only script. Forms that cannot be
// used without it stay hidden where the browser has no WebAuthn.
for (const form of document.querySelectorAll('form[data-key]')) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    if (form.elements.key.value) return;
    event.preventDefault();
    const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
    const options = JSON.parse(form.dataset.key);
    options.challenge = bytes(options.challenge);
    for (const list of [options.allowCredentials, options.excludeCredentials])
      for (const c of list ?? []) c.id = bytes(c.id);
    if (options.user) options.user.id = bytes(options.user.id);
    try {
      const made = options.user
        ? await navigator.credentials.create({ publicKey: options })
        : await navigator.credentials.get({ publicKey: options });
      const response = {};
      for (const name of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
        if (made.response[name]) response[name] = text(made.response[name]);
      form.elements.key.value = JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response });
      form.requestSubmit(event.submitter);
    } catch (err) {
      form.querySelector('[role=alert]').textContent = 'The security key was not used: ' + err.message;
    }
  });
}
