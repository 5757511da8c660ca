/** What to do where no connection to Intercom comes about, by the failure's code. */
export function remedyFor(failure: string): string {
  if (failure === 'ENOTFOUND' || failure === 'EAI_AGAIN')
    return 'the name is not found: check the DNS of this machine or container, and INTERCOM_API_URL if it is set';
  if (/CERT|SIGNATURE|TLS|SSL/.test(failure))
    return "its certificate is not trusted: if a proxy of yours opens TLS, give Node the proxy's CA with NODE_EXTRA_CA_CERTS";
  const proxied = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  const hint = proxied === undefined ? '' : ' (HTTPS_PROXY is not used)';
  return `let this machine connect to that host and port directly${hint}: look at firewall and egress rules`;
}
