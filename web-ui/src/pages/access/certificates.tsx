// The certificates this box shows, and its own authority to trust in a browser.
import type { JSX } from "preact";
import { useResource } from "../../api/resource.ts";
import type { Certificate } from "../../api/types.ts";
import { t } from "../../i18n/i18n.ts";
import { duration } from "../../logic/format.ts";
import { Badge, Button, Card, Empty, Facts, Loaded, When } from "../../ui/parts.tsx";
import { saveText } from "../../ui/save.ts";

const KIND_NAMES: Record<Certificate["kind"], string> = { authority: "Authority of this box", server: "This page", listener: "Listener" };
const SOON_S = 30 * 86400;

export function Certificates(): JSX.Element {
  const certificates = useResource("GET /certificates");
  return (
    <Loaded resource={certificates}>
      {(value) =>
        value.certificates.length === 0 ? (
          <Card>
            <Empty icon="access" title={t("No certificates in use")}>
              {t("This page is reachable from this machine only, so it needs none. As soon as it listens on the network it makes its own.")}
            </Empty>
          </Card>
        ) : (
          <div class="grid">
            {value.certificates.map((each) => (
              <OneCertificate key={each.where + each.fingerprint_sha256} certificate={each} />
            ))}
          </div>
        )
      }
    </Loaded>
  );
}

function OneCertificate({ certificate }: { certificate: Certificate }): JSX.Element {
  const left = certificate.not_after_s - Date.now() / 1000;
  const save = certificate.pem && (
    <Button icon="download" isSmall onPress={() => saveText(`leafbox-${certificate.kind}.pem`, "application/x-pem-file", certificate.pem)}>
      PEM
    </Button>
  );
  return (
    <Card title={`${t(KIND_NAMES[certificate.kind])}${certificate.kind === "listener" ? ` ${certificate.where}` : ""}`} actions={save}>
      <Facts
        rows={[
          [t("For"), certificate.subject],
          [t("Names"), certificate.names.join(", ") || "–"],
          [t("Issued by"), certificate.issuer],
          [t("Valid from"), <When at={certificate.not_before_s * 1000} />],
          [t("Valid until"), <span class="row"><When at={certificate.not_after_s * 1000} /><Badge tone={left < 0 ? "bad" : left < SOON_S ? "warn" : "ok"}>{left < 0 ? t("expired") : t("{time} left", { time: duration(left) })}</Badge></span>],
          [t("Fingerprint (SHA-256)"), <code>{certificate.fingerprint_sha256}</code>],
        ]}
      />
      {certificate.kind === "authority" && <p class="small soft">{t("Import it into your browser or system once, and this page is trusted without a warning. Compare the fingerprint with what the terminal shows.")}</p>}
    </Card>
  );
}
