import type { Vendor } from '../service/integration.ts';
import { Button } from '../widgets/button.tsx';
import { Icon } from '../widgets/icon.tsx';

/** What the library has. */
export function VendorCard({
  vendor,
  isInstalled,
  onInstall,
}: {
  vendor: Vendor;
  isInstalled: boolean;
  onInstall(): void;
}) {
  return (
    <section class="library" aria-labelledby="library-title">
      <h2 id="library-title">Library</h2>
      <div class="card vendor">
        <span class="vendor-logo">
          <Icon name="integrations" />
        </span>
        <div class="vendor-text">
          <h3>{vendor.name}</h3>
          <p>{vendor.description}</p>
          {vendor.website !== '' && (
            <a href={vendor.website} target="_blank" rel="noreferrer">
              {vendor.website.replace(/^https?:\/\//, '').replace(/\/$/, '')}
              <span class="only-heard"> (opens a new tab)</span>
            </a>
          )}
        </div>
        <Button kind={isInstalled ? 'plain' : 'primary'} onClick={onInstall}>
          {isInstalled ? 'Install again' : 'Install'}
        </Button>
      </div>
    </section>
  );
}
