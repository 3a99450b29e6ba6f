# One image for every process; docker-compose.yml says which one a container runs.
FROM python:3.11-slim
# Letters beyond Open Sans for names in PDFs: Armenian, Georgian and more; Chinese, Japanese.
RUN apt-get update && apt-get install -y --no-install-recommends fonts-dejavu-core fonts-droid-fallback \
    && rm -rf /var/lib/apt/lists/*
ENV GATEWAY_PDF_FONTS=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
COPY requirements/runtime.txt requirements/
RUN pip install --require-hashes -r requirements/runtime.txt
COPY libs libs
COPY services services
COPY gateway gateway
COPY punchcard punchcard
RUN pip install --no-deps --no-build-isolation libs/kernel libs/chassis services/accounts services/catalog \
      services/cart services/payments services/credits services/support services/notifications gateway/ punchcard/ \
    && useradd --system --create-home punchcard && install -d -o punchcard /data
USER punchcard
CMD ["punchcard", "--help"]
