# The image holds one static binary, certificates and an unprivileged user: no shell, no package. `make image` builds it with
# buildah where no registry is reachable; `make build rootfs && docker build .` gives the same.
ARG BASE=scratch
FROM ${BASE}

# passwd, group, certificates and an empty /tmp, as cmd/internal/image/rootfs.sh made them. The time zones are in the binary.
COPY bin/rootfs/ /
COPY bin/waybill /waybill
# The journal: a named or bound volume must be here, or a new container begins without its memory.
COPY --chown=65532:65532 bin/data/ /var/lib/waybill/

USER 65532:65532
ENV WAYBILL_CONFIG=/etc/waybill/waybill.yaml
VOLUME /var/lib/waybill
# The admin address, if admin.listen names it: /metrics, /healthz, /readyz.
EXPOSE 8480
# Alive means that the pipeline answers; whether it is ready, with sources and lanes, is what /readyz and the alerts say.
HEALTHCHECK --interval=15s --timeout=6s --start-period=30s --retries=3 CMD ["/waybill", "status", "--json"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/waybill"]
CMD ["run"]
