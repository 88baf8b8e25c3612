# The whole project in one image; docker-compose.yml runs its roles.
#
# PyTorch comes from the package registry with CUDA's packages, some GB. For a CPU-only image put PyTorch's CPU build
# (the wheel whose hash is in requirements/torch-cpu.lock) into wheels/ first.

FROM python:3.11-slim

# The engine compiles its layers for the processor that it runs on.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 10001 assistant \
    && install -d -o assistant -g assistant /app /var/cache/vlbm
USER assistant
WORKDIR /app

# Packages change seldom: a layer of their own. `wheel[s]` is a pattern, so that the folder may be missing.
COPY --chown=assistant requirements requirements
COPY --chown=assistant scripts scripts
COPY --chown=assistant LICENSE wheel[s] wheels/
RUN PIP_FIND_LINKS=/app/wheels PIP_NO_CACHE_DIR=1 scripts/setup dependencies

COPY --chown=assistant . .
RUN PIP_NO_CACHE_DIR=1 scripts/setup run \
    && rm -rf assistant/web/node_modules /home/assistant/.npm

ENV PATH=/app/.venv/bin:$PATH \
    VLBM_CACHE=/var/cache/vlbm \
    PYTHONUNBUFFERED=1
VOLUME /var/cache/vlbm
EXPOSE 8000 8001
CMD ["assistant", "serve", "--host", "0.0.0.0"]
