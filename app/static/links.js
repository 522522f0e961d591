// Links between our own pages change the address and run the page, as the browser's back button
// does, instead of loading the whole app again. They are ordinary links all the same: a new tab,
// the keyboard and copying the address work, and without this script they load the page.
(() => {
    if (window.meterhouseLinks) return;
    window.meterhouseLinks = true;

    // Streamlit declares the theme's colour scheme on the app, and draws popovers outside of it.
    const spreadScheme = () => {
        const app = document.querySelector(".stApp");
        if (app) document.documentElement.style.colorScheme = getComputedStyle(app).colorScheme;
    };
    spreadScheme();
    for (const kind of ["click", "keydown"]) document.addEventListener(kind, spreadScheme, true);

    // Streamlit's navigation is a list whose children are sections, not items. To who cannot see it,
    // each section is the list.
    const nameNavigation = () => {
        const sections = document.querySelector("[data-testid='stSidebarNavItems']");
        if (!sections?.querySelector(":scope > div:not([role])")) return;
        sections.setAttribute("role", "presentation");
        for (const section of sections.querySelectorAll(":scope > div")) {
            const header = section.querySelector("header");
            section.setAttribute("role", "list");
            section.setAttribute("aria-label", header?.innerText.split("\n")[0] ?? "");
            header?.setAttribute("role", "presentation");
        }
    };

    // Signing in leads back to the first page. The address that was asked for waits in this tab,
    // and is always one of our own: nothing but its path and query is kept.
    const WAY_BACK = "meterhouse-way-back";
    const keepWayBack = () => {
        if (document.querySelector(".st-key-way-in")) {
            const { pathname, search } = window.location;
            const isFirstPage = pathname.endsWith("/") && !search;
            window.sessionStorage.setItem(WAY_BACK, isFirstPage ? "" : pathname + search);
        } else if (document.querySelector(".st-key-sign-out")) {
            const there = window.sessionStorage.getItem(WAY_BACK);
            window.sessionStorage.removeItem(WAY_BACK);
            if (there) window.location.replace(window.location.origin + there);
        }
    };

    const follow = () => {
        nameNavigation();
        keepWayBack();
    };
    follow();
    new MutationObserver(follow).observe(document.body, { childList: true, subtree: true });

    document.addEventListener("click", (event) => {
        const other = event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey;
        const link = event.target.closest?.("a.mh-to");
        if (!link || other || event.altKey || event.defaultPrevented) return;
        if (link.origin !== window.location.origin) return;
        event.preventDefault();
        if (link.href === window.location.href) return;
        const isOtherPage = link.pathname !== window.location.pathname;
        window.history.pushState({}, "", link.href);
        window.dispatchEvent(new PopStateEvent("popstate", { state: {} }));
        if (isOtherPage || link.classList.contains("mh-up")) {
            document.querySelector("[data-testid='stMain']")?.scrollTo({ top: 0 });
        }
    });
})();
